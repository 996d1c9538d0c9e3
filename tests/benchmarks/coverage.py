"""Measure how often the intervals of a fit hold the truth, on simulated tables, and write docs/coverage.md.

Run: python -m tests.benchmarks.coverage [--sims 200] [--resamples 400] [--write docs/coverage.md]
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis import fit
from analysis.errors import Refusal

CHINCHILLA = {"E": 1.7, "A": 400.0, "B": 900.0, "alpha": 0.34, "beta": 0.28}
SHIFTED = {"E": 0.3, "a": 60.0, "b": 3e4, "alpha": 0.3}
SATURATING = {"E": 0.5, "a": 30.0, "alpha": 0.25}
METHODS = (
    ("runs", "percentile", "huber"),
    ("runs", "bca", "huber"),
    ("wild", "percentile", "huber"),
)
METHOD_NAMES = ("percentile", "bca", "wild")
CURVES = ["curve inside", "curve 10x beyond", "new run"]
"""Columns shown for the first method alone."""


@dataclass(frozen=True)
class Scenario:
    """One kind of table: a law, how many runs, what noise, how many milestones a run."""

    name: str
    law: str
    runs: int
    noise: str
    milestones: int = 1

    @property
    def truth(self) -> dict[str, float]:
        """Return the parameters the tables are made of."""
        return {"chinchilla": CHINCHILLA, "shifted": SHIFTED, "saturating": SATURATING}[self.law]


SCENARIOS = (
    Scenario("chinchilla, 250 runs, normal 0.5 %", "chinchilla", 250, "normal"),
    Scenario("chinchilla, 60 runs, normal 0.5 %", "chinchilla", 60, "normal"),
    Scenario("chinchilla, 20 runs, normal 0.5 %", "chinchilla", 20, "normal"),
    Scenario("chinchilla, 60 runs, noise falling with size", "chinchilla", 60, "heteroscedastic"),
    Scenario("chinchilla, 60 runs, heavy tails (t, 3 d.o.f.)", "chinchilla", 60, "heavy"),
    Scenario("chinchilla, 40 runs x 5 milestones", "chinchilla", 40, "normal", 5),
    Scenario("saturating, 20 runs, normal 0.5 %", "saturating", 20, "normal"),
    Scenario("shifted, 60 runs, normal 0.5 %", "shifted", 60, "normal"),
    Scenario("shifted, 24 runs, heavy tails", "shifted", 24, "heavy"),
)


def curve(scenario: Scenario, x: dict[str, np.ndarray]) -> np.ndarray:
    """Return the true loss."""
    p = scenario.truth
    if scenario.law == "chinchilla":
        return p["E"] + p["A"] * x["N"] ** -p["alpha"] + p["B"] * x["D"] ** -p["beta"]
    return p["E"] + p["a"] * (x["D"] + p.get("b", 0.0)) ** -p["alpha"]


def simulate(scenario: Scenario, rng: np.random.Generator) -> pd.DataFrame:
    """Draw one table."""
    n = scenario.runs
    N = 10 ** rng.uniform(6, 9.5, n)
    D = 10 ** (rng.uniform(8, 11, n) if scenario.law == "chinchilla" else rng.uniform(3, 8, n))
    size = 0.005 * np.ones(n)
    if scenario.noise == "heteroscedastic":
        size = 0.005 * (N / 1e8) ** -0.25
    shape = rng.standard_normal(n) if scenario.noise != "heavy" else rng.standard_t(3, n) / np.sqrt(3)
    parts = []
    for k in range(scenario.milestones):
        Dk = D * 2.0 ** (k - scenario.milestones + 1)
        extra = 0.001 * rng.standard_normal(n) if scenario.milestones > 1 else 0.0
        loss = curve(scenario, {"N": N, "D": Dk}) * np.exp(size * shape + extra)
        parts.append(pd.DataFrame({"run_id": np.arange(n).astype(str), "N": N, "D": Dk, "loss": loss}))
    return pd.concat(parts, ignore_index=True)


def targets(scenario: Scenario) -> tuple[pd.DataFrame, np.ndarray]:
    """Return settings inside the data and 10 x beyond, and the truth there."""
    inside, beyond = (3e7, 3e10) if scenario.law == "chinchilla" else (1e6, 1e9)
    at = pd.DataFrame({"N": [1e8, 3e10], "D": [3e9, 1e12]})
    if scenario.law != "chinchilla":
        at = pd.DataFrame({"N": [1e8, 1e8], "D": [inside, beyond]})
    return at, curve(scenario, {name: at[name].to_numpy() for name in at})


def measure(scenario: Scenario, sims: int, resamples: int, methods: Any = METHODS) -> pd.DataFrame:
    """Return the share of simulated tables whose interval holds the truth, one row a method."""
    at, there = targets(scenario)
    hits: dict[tuple[str, str, str], list[dict[str, float]]] = {method: [] for method in methods}
    for sim in range(sims):
        rng = np.random.default_rng([sim, scenario.runs])
        table = simulate(scenario, rng)
        fresh = there[0] * np.exp(0.005 * rng.standard_normal())
        for resample, interval, objective in methods:
            try:
                found = fit(
                    table,
                    scenario.law,
                    x=None if scenario.law == "chinchilla" else "D",
                    resamples=resamples,
                    resample=resample,
                    interval=interval,
                    objective=objective,
                    starts=8,
                    seed=sim,
                )
            except Refusal:
                continue
            row = {name: inside(found.intervals[name], value) for name, value in scenario.truth.items()}
            if found.allocation and found.allocation.N_exponent_interval:
                true = CHINCHILLA["beta"] / (CHINCHILLA["alpha"] + CHINCHILLA["beta"])
                row["N exponent"] = inside(found.allocation.N_exponent_interval, true)
            low, high = found.interval(at)
            row["curve inside"], row["curve 10x beyond"] = (inside((low[k], high[k]), there[k]) for k in range(2))
            low, high = found.interval(at, kind="run")
            if scenario.noise == "normal" and scenario.milestones == 1:
                row["new run"] = inside((low[0], high[0]), fresh)
            hits[resample, interval, objective].append(row)
    rows = []
    for method, found_rows in hits.items():
        mean = pd.DataFrame(found_rows).mean()
        rows.append({"method": ", ".join(method), "tables": len(found_rows), **mean.to_dict()})
    return pd.DataFrame(rows)


def inside(ends: tuple[float, float], value: float) -> float:
    """Return 1 if the interval holds the value."""
    return float(ends[0] <= value <= ends[1])


def report(results: Iterator[tuple[Scenario, pd.DataFrame]], show: Callable[[str], None]) -> str:
    """Write the results as one markdown table, a row a scenario."""
    names = [f"parameters, {method}" for method in METHOD_NAMES]
    lines = [f"| tables of | {' | '.join(names + CURVES)} |", "|" + "---|" * (1 + len(names) + len(CURVES))]
    show("\n".join(lines))
    for scenario, frame in results:
        parameters = frame.drop(columns=["method", "tables", *CURVES], errors="ignore") * 100
        cells = [f"{row.min():.0f} to {row.max():.0f}" for _, row in parameters.iterrows()]
        cells += [f"{100 * frame[name].iloc[0]:.0f}" if name in frame else "" for name in CURVES]
        lines.append(f"| {scenario.name} | {' | '.join(cells)} |")
        show(lines[-1])
    return "\n".join(lines)


def main() -> None:
    """Measure all scenarios, print the tables and, if asked, write them into the document between its marks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sims", type=int, default=200)
    parser.add_argument("--resamples", type=int, default=400)
    parser.add_argument("--only", default="")
    parser.add_argument("--write", type=Path)
    given = parser.parse_args()
    chosen = [scenario for scenario in SCENARIOS if given.only in scenario.name]
    began = time.perf_counter()
    text = report(
        ((scenario, measure(scenario, given.sims, given.resamples)) for scenario in chosen),
        lambda line: print(line, flush=True),
    )
    sys.stdout.write(f"{time.perf_counter() - began:.0f} s\n")
    if given.write:
        start, end = "<!-- measured -->", "<!-- end of measured -->"
        head, rest = given.write.read_text().split(start)
        given.write.write_text(f"{head}{start}\n\n{text}\n\n{end}{rest.split(end)[1]}")


if __name__ == "__main__":
    main()
