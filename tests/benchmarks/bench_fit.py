"""Fitting: ours against a plain SciPy multi-start L-BFGS of the usual kind, on the same data, in the same process.

Run: python -m tests.benchmarks.bench_fit   (SCALING_REFERENCE_DIR: published data instead of a simulated table)
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # for both: threads that wait for one another count as time, too

import time
from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table
from scipy.optimize import minimize

from analysis import fit

DELTA = 1e-3
REFITS = 4_000  # ours
LARGE = 100_000  # rows
TIMED_REFITS = 60  # SciPy's; the rest would take as long each
STARTS = [  # a coarse version of the grid of Hoffmann et al. 2022: alpha, beta, log E, log A, log B
    *product((0.0, 0.5, 1.0, 1.5), (0.0, 0.5, 1.0, 1.5), (-0.5, 0.5), (0.0, 10.0, 20.0), (0.0, 10.0, 20.0))
]


def data() -> tuple[pd.DataFrame, str]:
    """Return the 240 published points where they are, else 240 simulated ones."""
    folder = os.environ.get("SCALING_REFERENCE_DIR")
    path = Path(folder or "/nowhere") / "chinchilla_epoch/svg_extracted_data.csv"
    if path.exists():
        table = pd.read_csv(path).rename(columns={"Model Size": "N", "Training FLOP": "C"})
        table = table.assign(D=table.C / 6 / table.N)
        return table[table.loss < np.sort(table.loss)[-5]], "240 published points (Besiroglu et al. 2024)"
    rng = np.random.default_rng(0)
    N, D = 10 ** rng.uniform(7.5, 10, 240), 10 ** rng.uniform(9, 11.5, 240)
    loss = (1.82 + 480 * N**-0.347 + 2100 * D**-0.367) * np.exp(0.007 * rng.standard_t(3, 240))
    return pd.DataFrame({"N": N, "D": D, "loss": loss}), "240 simulated points"


def objective(theta: np.ndarray, N: np.ndarray, D: np.ndarray, y: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the sum of Huber losses and its gradient, as published codes write it."""
    alpha, beta, e, a, b = theta
    terms = np.stack([np.full_like(N, e), a - alpha * N, b - beta * D])
    top = terms.max(axis=0)
    h = top + np.log(np.exp(terms - top).sum(axis=0))
    share = np.exp(terms - h)
    rest = y - h
    psi = np.clip(rest, -DELTA, DELTA)
    size = np.abs(rest)
    value = np.where(size <= DELTA, rest**2 / 2, DELTA * (size - DELTA / 2)).sum()
    by = np.array([-share[1] * N, -share[2] * D, share[0], share[1], share[2]])
    return float(value), -(by * psi).sum(axis=1)


def timed(work: Callable[[], object]) -> tuple[float, object]:
    """Return seconds of CPU, and what the work returned."""
    began = time.process_time()
    done = work()
    return time.process_time() - began, done


def main() -> None:
    """Time both and print the ratios."""
    table, what = data()
    N, D, y = (np.log(table[name].to_numpy()) for name in ("N", "D", "loss"))

    def scipy_fit() -> list[float]:
        return [float(minimize(objective, start, (N, D, y), jac=True, method="L-BFGS-B").fun) for start in STARTS]

    def scipy_refits(start: np.ndarray) -> None:
        rng = np.random.default_rng(0)
        for _ in range(TIMED_REFITS):
            pick = rng.integers(0, len(y), len(y))
            minimize(objective, start, (N[pick], D[pick], y[pick]), jac=True, method="L-BFGS-B")

    fit(table, resamples=0)
    ours, found = timed(lambda: fit(table, resamples=0))
    ours_all, _ = timed(lambda: fit(table, resamples=REFITS))
    theirs, values = timed(scipy_fit)
    p = found.params
    best = np.array([p["alpha"], p["beta"], np.log(p["E"]), np.log(p["A"]), np.log(p["B"])])
    their_refits, _ = timed(lambda: scipy_refits(best))
    their_refits *= REFITS / TIMED_REFITS
    lowest = min(found.objective.value, min(values))
    share = np.mean(np.array(values) <= lowest * (1 + 1e-4))
    large, theirs_large = large_seconds(best)
    out = Table("", "s of CPU", "lowest objective", "starts that reach it", title=what, title_justify="left")
    out.add_row(
        "ours, certified fit", f"{ours:.2f}", f"{found.objective.value:.10f}", f"{found.certificate.share_at_best:.0%}"
    )
    out.add_row(
        f"SciPy L-BFGS-B, {len(STARTS)} starts", f"{theirs:.2f}", f"{min(values):.10f}", f"{share:.0%} (to 1e-4)"
    )
    out.add_row(f"ours, {REFITS} refits", f"{ours_all - ours:.2f}")
    out.add_row(f"SciPy, {REFITS} refits from the optimum ({TIMED_REFITS} timed)", f"{their_refits:.2f}")
    out.add_row(f"ours, {LARGE:,} rows, with intervals", f"{large:.2f}")
    out.add_row(f"SciPy, {LARGE:,} rows, one start", f"{theirs_large:.2f}")
    out.add_row("ours, 1,000 refits in a flat valley", f"{valley_seconds():.2f}")
    out.add_row("ours, one m4 fit of 20 points", f"{m4_seconds():.3f}")
    Console().print(out)
    refits = their_refits / (ours_all - ours)
    Console().print(f"fit {theirs / ours:.0f}x, refits {refits:.0f}x, {LARGE:,} rows {theirs_large / large:.1f}x")


def large_seconds(start: np.ndarray) -> tuple[float, float]:
    """Return the CPU seconds of a fit of many rows: ours, and one minimisation by SciPy."""
    rng = np.random.default_rng(0)
    N, D = 10 ** rng.uniform(6, 9, LARGE), 10 ** rng.uniform(8, 11, LARGE)
    loss = (1.7 + 400 * N**-0.34 + 900 * D**-0.28) * np.exp(0.01 * rng.standard_normal(LARGE))
    table = pd.DataFrame({"N": N, "D": D, "loss": loss})
    logs = (np.log(N), np.log(D), np.log(loss))
    ours, _ = timed(lambda: fit(table))
    theirs, _ = timed(lambda: minimize(objective, start, logs, jac=True, method="L-BFGS-B"))
    return ours, theirs


def valley_seconds() -> float:
    """Return the CPU seconds of refits where a floor and a slow fall with N say the same."""
    N, D = np.repeat(np.geomspace(1e4, 3e6, 12), 25), np.tile(np.geomspace(5e3, 2e6, 5), 60)
    noise = 0.05 * np.random.default_rng(0).standard_normal(300) + 0.15 * np.sin(np.log(D))
    table = pd.DataFrame({"N": N, "D": D, "loss": (0.93 * N**-0.037 + 800 * D**-0.84) * np.exp(noise)})
    return timed(lambda: fit(table, resamples=1_000))[0]


def m4_seconds() -> float:
    """Return the CPU seconds of one m4 fit of 20 noisy points, the best of five."""
    y = np.linspace(0.2, 0.9, 20)
    x = (90 * (0.95 - y) ** 0.7 / (y - 0.1)) ** 2.5
    table = pd.DataFrame({"D": x, "loss": y * np.exp(0.004 * np.random.default_rng(0).standard_normal(20))})
    return min(timed(lambda: fit(table, "m4", x="D", objective="lsq", resamples=0))[0] for _ in range(5))


if __name__ == "__main__":
    main()
