"""Whether residuals fall into two groups: two data sets, units or recipes in one table that no column tells."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.laws.base import Array

LEAST = 0.2
"""Share of the runs that the smaller group holds at least: fewer are odd runs."""
APART, APART_FEW = 4.0, 62.0
"""Distance of the groups' means over the deviation inside them from which there are two: the first plus the second over
the number of runs. Of even residuals, which split best of all that are no two groups, one table in 1,000 reaches it."""


@dataclass(frozen=True)
class TwoGroups:
    """How many runs are in each group, how far apart the groups lie, and how far runs scatter in them."""

    low: int
    high: int
    apart: float
    inside: float


def two_groups(residuals: Array) -> TwoGroups | None:
    """Split residuals (n,) into the two groups inside which they scatter least; None where they are no two groups."""
    rest, n = np.sort(residuals), len(residuals)
    fewest = max(2, int(np.ceil(LEAST * n)))
    if n < 2 * fewest:
        return None
    low = np.arange(fewest, n - fewest + 1)
    sums, squares = np.cumsum(rest), np.cumsum(rest**2)
    mean, other = sums[low - 1] / low, (sums[-1] - sums[low - 1]) / (n - low)
    left = squares[-1] - low * mean**2 - (n - low) * other**2
    best = int(np.argmin(left))
    apart, inside = float(other[best] - mean[best]), float(np.sqrt(max(left[best], 0.0) / (n - 2)))
    if apart <= (APART + APART_FEW / n) * inside:
        return None
    return TwoGroups(int(low[best]), int(n - low[best]), apart, inside)
