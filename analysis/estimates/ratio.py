"""The ratio of the best errors of two kinds of model at equal compute, tested over seeds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.errors import Refusal

GRID = 25
"""Computes, evenly spaced in log C over the common range, at which the frontiers are compared."""


@dataclass(frozen=True)
class Ratio:
    """Error of the first kind over that of the second at equal compute: the geometric mean over their common range.

    interval, p: by Student's t over seeds, each seed one observation. A difference is claimed where p < 1 - level,
    which is the false-positive rate.
    """

    value: float
    interval: tuple[float, float]
    p: float
    seeds: int
    C_range: tuple[float, float]
    level: float

    @property
    def differs(self) -> bool:
        """Tell whether a difference is claimed."""
        return self.p < 1 - self.level


def ratio_at_equal_compute(first: pd.DataFrame, second: pd.DataFrame, y: str, *, level: float = 0.95) -> Ratio:
    """Compare two sets of rows (columns C, seed, y); raise `Refusal` with no common range of C or too few seeds."""
    low = max(rows["C"].min() for rows in (first, second))
    high = min(rows["C"].max() for rows in (first, second))
    if not low < high:
        raise Refusal("the two kinds have no compute in common; wanted runs over the same range")
    ours, theirs = (set(rows["seed"].dropna()) if "seed" in rows.columns else set() for rows in (first, second))
    seeds = sorted(ours & theirs)
    if len(seeds) < 2:
        raise Refusal(f"found {len(seeds)} seeds in common; wanted two or more to test a difference")
    grid = np.geomspace(low, high, GRID)
    logs = np.array(
        [np.mean(np.log(_best(first, seed, y, grid)) - np.log(_best(second, seed, y, grid))) for seed in seeds]
    )
    from scipy import stats

    test = stats.ttest_1samp(logs, 0.0)
    ends = test.confidence_interval(level)
    interval = (float(np.exp(ends.low)), float(np.exp(ends.high)))
    return Ratio(float(np.exp(logs.mean())), interval, float(test.pvalue), len(seeds), (float(low), float(high)), level)


def _best(rows: pd.DataFrame, seed: object, y: str, grid: np.ndarray) -> np.ndarray:
    """Return the lowest y that a seed reaches within each C of the grid, interpolated in log-log."""
    own = rows[rows["seed"] == seed].sort_values("C")
    C, best = own["C"].to_numpy(float), np.minimum.accumulate(own[y].to_numpy(float))
    steps = np.concatenate([[True], np.diff(best) < 0])
    return np.asarray(np.exp(np.interp(np.log(grid), np.log(C[steps]), np.log(best[steps]))))
