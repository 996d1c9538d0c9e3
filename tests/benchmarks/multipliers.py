"""Measure how often the interval of a compute multiplier holds the truth, on simulated pairs of sweeps.

Each row simulates as many sweeps of each of the two, and compares each with several of the other's: pairs that have one
sweep in common say less than pairs apart, but cost no fit.

Run: python -m tests.benchmarks.multipliers [--sims 100] [--objective lsq]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis import Fit
from analysis.estimates.multiplier import compare_fits
from analysis.estimates.pairs_of_refits import with_weighted_refits
from analysis.fitting.engine import fit_law
from analysis.fitting.settings import settings_of
from analysis.laws import get_law
from tests.analysis.worlds import World

PAIRS = 6
"""Sweeps of the second that each of the first is compared with."""
RESAMPLES, STARTS = 300, 6


@dataclass(frozen=True)
class Design:
    """A sweep that is simulated. seeds: of each of the budgets and sizes; 0: as many runs, scattered."""

    name: str
    sizes: int = 8
    seeds: int = 2
    noise: float = 0.004
    tails: float | None = None
    true: tuple[float, ...] = (1.2,)

    def table(self, multiplier: float, rng: np.random.Generator) -> pd.DataFrame:
        """Simulate one sweep, as if N and D were each the root of `multiplier` times larger."""
        count = 6 * self.sizes * max(1, self.seeds)
        if self.seeds:
            axes = np.geomspace(2e8, 1e10, 6), np.geomspace(150, 15_000, self.sizes), range(self.seeds)
            C, N, _ = (axis.ravel() for axis in np.meshgrid(*axes, indexing="ij"))
            D = C / (6 * N)
        else:
            N, D = (np.exp(rng.uniform(*np.log(ends), count)) for ends in ((150, 15_000), (3e4, 3e6)))
        scatter = rng.standard_normal(count) if self.tails is None else rng.standard_t(self.tails, count)
        loss = World().loss(N * multiplier**0.5, D * multiplier**0.5) * np.exp(self.noise * scatter)
        return pd.DataFrame({"N": N, "D": D, "C": 6 * N * D, "loss": loss})


DESIGNS = (
    Design("6 budgets, 8 sizes, 2 seeds", true=(1.05, 1.5)),
    Design("6 budgets, 6 sizes, 1 seed", sizes=6, seeds=1),
    Design("60 runs, scattered", sizes=10, seeds=0),
    Design("6 budgets, 8 sizes, 1 seed, heavy tails (t, 3 d.o.f.)", seeds=1, tails=3.0),
)


def fits(design: Design, multiplier: float, sims: int, stream: int, *, objective: str) -> list[Fit]:
    """Simulate and fit so many sweeps; stream: of the random numbers, another for each call."""
    tables = [design.table(multiplier, np.random.default_rng([stream, sim])) for sim in range(sims)]
    settings = settings_of(resamples=RESAMPLES, starts=STARTS, objective=objective)
    found = (fit_law(table, get_law("chinchilla"), settings) for table in tables)
    return [with_weighted_refits(one) for one in found]


def row(design: Design, true: float, first: list[Fit], second: list[Fit]) -> str:
    """Return a line of the table: the shares of intervals of the multiplier and its trend that hold the truth."""
    inside, flat, wide = np.array(list(_pairs(true, first, second)), dtype=float).mean(axis=0)
    return f"| {design.name} | {true} | {100 * inside:.1f} | {100 * wide:.1f} | {100 * flat:.1f} |\n"


def _pairs(true: float, first: list[Fit], second: list[Fit]) -> Iterator[tuple[float, float, float]]:
    """Yield, for each pair, whether the multiplier and the trend are inside, and the half-width in logarithms."""
    for i, one in enumerate(first):
        for k in range(PAIRS):
            found = compare_fits({"a": one, "b": second[(i + k) % len(second)]})
            low, high = found.interval
            flat = found.trend_interval[0] <= 0 <= found.trend_interval[1]
            yield low <= true <= high, flat, np.log(high / low) / 2


def main() -> None:
    """Print, for each design and true multiplier, how often the intervals of it and of its trend hold the truth."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sims", type=int, default=100)
    parser.add_argument("--objective", default="huber")
    given = parser.parse_args()
    sims, objective = given.sims, given.objective
    sys.stdout.write(
        "| sweeps | true multiplier | multiplier inside | half-width | trend inside |\n|---|---|---|---|---|\n"
    )
    for place, design in enumerate(DESIGNS):
        first = fits(design, 1.0, sims, 100 * place, objective=objective)
        for k, true in enumerate(design.true, start=1):
            second = fits(design, true, sims, 100 * place + k, objective=objective)
            sys.stdout.write(row(design, true, first, second))
            sys.stdout.flush()


if __name__ == "__main__":
    main()
