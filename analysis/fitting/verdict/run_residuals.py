"""Residuals for tests of a law: one mean for each run, with outliers clipped."""

from __future__ import annotations

from math import erfc, sqrt

import numpy as np

from analysis.laws.base import Array

ODD = 5.0
"""Standard deviations, by the median, from which a residual counts no more: one odd run is no structure."""


def by_run(rows: Array, run: Array) -> Array:
    """Average rows of values (m, n) over the rows of each run (m, runs)."""
    count = np.bincount(run)
    return np.stack([np.bincount(run, row) / count for row in rows])


def drawn_in(residuals: Array) -> Array:
    """Return residuals (n,) of which the far ones are drawn in."""
    far = ODD * 1.4826 * float(np.median(np.abs(residuals)))
    return np.clip(residuals, -far, far)


def tail(F: float, over: int, under: int) -> float:
    """Return the chance of an F at least so large with these degrees of freedom (Paulson 1942: by its cube root)."""
    if over == 2:
        return (1 + 2 * F / under) ** (-under / 2)
    root, a, b = F ** (1 / 3), 2 / (9 * over), 2 / (9 * under)
    return erfc(((1 - b) * root - (1 - a)) / sqrt(2 * (b * root**2 + a))) / 2
