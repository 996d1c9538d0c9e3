"""Measure how often a certificate is right about its law, on simulated tables, and write it into docs/coverage.md.

Run: python -m tests.benchmarks.verdicts [--sims 100] [--jobs 4] [--write docs/coverage.md]
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.errors import Refusal
from analysis.fitting.settings import settings_of
from analysis.fitting.verdict.fit_and_judge import fit_and_judge
from analysis.laws import get_law
from tests.analysis.fitting.designs import KINDS, SHOWN, Design, simulate, spoiled, truth

PLAIN = {"floors": (0.04, 0.0), "slopes": (0.0, 0.03), "bad seed": (0.0, 0.0), "milestones": (0.0, 0.0)}
"""Kinds of `spoiled` that have a truth, with what their floor and their beta change by a decade of N."""
AHEAD = 3.0
"""Times beyond the largest input at which a forecast's interval is looked at."""


DESIGNS = (
    Design("D, 20 settings", "saturating", 20, 1, 0.004),
    Design("D, 20 settings x 3 seeds", "saturating", 20, 3, 0.004),
    Design("D, 12 settings", "saturating", 12, 1, 0.004),
    Design("D, 12 settings x 3 seeds, noise 2 %", "saturating", 12, 3, 0.02),
    Design("N and D, grid of 42", "chinchilla", 42, 1, 0.004),
    Design("N and D, grid of 42 x 3 seeds", "chinchilla", 42, 3, 0.004),
    Design("N and D, 60 scattered", "chinchilla", 60, 1, 0.004, scattered=True),
    Design("N and D, grid of 42, noise 2 %", "chinchilla", 42, 1, 0.02),
    Design("N and D, grid of 42 x 3 seeds, noise 2 %", "chinchilla", 42, 3, 0.02),
    Design("N and D, grid of 42, heavy tails (t, 3 d.o.f.)", "chinchilla", 42, 1, 0.004, "heavy"),
    Design("N and D, grid of 42 x 3 seeds, heavy tails", "chinchilla", 42, 3, 0.004, "heavy"),
    Design("N and D, grid of 42, noise falling with size", "chinchilla", 42, 1, 0.004, "falling"),
    Design("N and D, grid of 42 x 3 seeds, noise falling with size", "chinchilla", 42, 3, 0.004, "falling"),
)


@dataclass(frozen=True)
class Judged:
    """One table's certificate: its status, and whether the forecast's interval at 3 x the inputs holds the truth."""

    status: str
    holds: bool


Run = Callable[..., Iterable[Judged]]
"""Applies a function to lists of its arguments, as `map` does."""


def judged(design: Design, kind: str, sim: int) -> Judged:
    """Fit one table and look at its certificate."""
    table = simulate(design, kind, np.random.default_rng([sim, design.settings, design.seeds]))
    return judge(table, design.law, sim, lambda at: truth(design, kind, at))


def judge(table: pd.DataFrame, law: str, sim: int, true: Callable[[pd.DataFrame], np.ndarray] | None) -> Judged:
    """Fit one table by `fit` without the search for a remedy. true: the response without noise; None: weak is right."""
    x = "D" if law == "saturating" else None
    how = settings_of(x=x, resamples=200, starts=16, seed=sim)
    try:
        found = fit_and_judge(table, get_law(law), how, remedies=False)
    except Refusal:
        return Judged("refused", True)
    if found.certificate.status == "weak":
        return Judged("weak", True)
    if true is None:
        return Judged("ok", False)
    names = [name for name in ("N", "D") if name in table.columns]
    at = AHEAD * table[names].max().to_frame().T
    low, high = found.interval(at)
    return Judged("ok", bool(low[0] <= true(at)[0] <= high[0]))


def judged_column(kind: str, sim: int) -> Judged:
    """Fit one table whose fault a column shows, or a law that bends in both, and look at its certificate."""
    true = partial(_bent, *PLAIN[kind]) if kind in PLAIN else None
    return judge(spoiled(kind, np.random.default_rng([sim, 5])), "chinchilla", sim, true)


def of_columns(sims: int, run: Run) -> str:
    """Write how often tables whose fault a column shows are ok, and how often that is a miss, as a markdown table."""
    lines = ["| kind | ok | miss |", "|---|---|---|"]
    for kind in SHOWN:
        found = list(run(judged_column, [kind] * sims, range(sims)))
        ok = np.mean([one.status == "ok" for one in found])
        miss = np.mean([one.status == "ok" and not one.holds for one in found])
        lines.append(f"| {kind} | {100 * ok:.0f} | {100 * miss:.0f} |")
    return "\n".join(lines)


def _bent(floors: float, slopes: float, at: pd.DataFrame) -> np.ndarray:
    N, D = at["N"].to_numpy(), at["D"].to_numpy()
    decades = np.log10(N / 1e6)
    return 1.7 * (1 - floors * decades) + 400 * N**-0.34 + 900 * D ** -(0.28 * (1 + slopes * decades))


def measure(design: Design, sims: int, run: Run) -> dict[str, float]:
    """Return the share of true laws that are ok; of the worst kind, the share that is ok and that which is a miss."""
    true = list(run(judged, [design] * sims, ["true"] * sims, range(sims)))
    kinds = [list(run(judged, [design] * sims, [kind] * sims, range(sims))) for kind in KINDS]
    return {
        "true law: ok": float(np.mean([one.status == "ok" for one in true])),
        "worst fault: ok": max(float(np.mean([one.status == "ok" for one in found])) for found in kinds),
        "worst fault: miss": max(
            float(np.mean([one.status == "ok" and not one.holds for one in found])) for found in kinds
        ),
    }


def report(results: Iterator[tuple[Design, dict[str, float]]], show: Callable[[str], None]) -> str:
    """Write the results as one markdown table, a row a design."""
    lines = []
    for design, row in results:
        if not lines:
            lines = ["| table | " + " | ".join(row) + " |", "|" + "---|" * (len(row) + 1)]
            show("\n".join(lines))
        cells = " | ".join(f"{100 * value:.0f}" for value in row.values())
        lines.append(f"| {design.name} | {cells} |")
        show(lines[-1])
    return "\n".join(lines)


def main() -> None:
    """Measure all designs, print the table and, if asked, write it into the document between its marks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sims", type=int, default=100)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--only", default="")
    parser.add_argument("--write", type=Path)
    given = parser.parse_args()
    chosen = [design for design in DESIGNS if given.only in design.name]
    began = time.perf_counter()
    with ProcessPoolExecutor(given.jobs) as pool:
        text = report(
            ((design, measure(design, given.sims, pool.map)) for design in chosen),
            lambda line: print(line, file=sys.stdout, flush=True),
        )
        text += f"\n\n{of_columns(given.sims, pool.map)}" if not given.only else ""
    sys.stdout.write(f"{text.partition(chr(10) * 2)[2]}\n{time.perf_counter() - began:.0f} s\n")
    if given.write:
        start, end = "<!-- verdicts -->", "<!-- end of verdicts -->"
        head, rest = given.write.read_text().split(start)
        given.write.write_text(f"{head}{start}\n\n{text}\n\n{end}{rest.split(end)[1]}")


if __name__ == "__main__":
    main()
