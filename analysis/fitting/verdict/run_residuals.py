"""Residuals for tests of a law: one mean for each run, with outliers clipped."""

from __future__ import annotations

from math import erfc, sqrt

import numpy as np

from analysis.fitting.objective import Engine
from analysis.laws.base import Array

ODD = 5.0
"""Robust standard deviations (from the median) at which residuals are clipped: one outlier is not structure."""


def by_run(rows: Array, run: Array) -> Array:
    """Average rows of values (m, n) over the rows of each run (m, runs)."""
    count = np.bincount(run)
    return np.stack([np.bincount(run, row) / count for row in rows])


def run_means(engine: Engine) -> tuple[Array, Array, Array]:
    """Return the mean residuals (runs,), law's derivatives (p, runs) and log inputs (d, runs) of each run."""
    rows = engine.residuals[None], engine.slopes, np.stack(list(engine.problem.inputs.values()))
    rest, slopes, logs = (by_run(one, engine.points.run) for one in rows)
    return rest[0], slopes, logs


def clipped(residuals: Array) -> Array:
    """Clip residuals (n,) at `ODD` robust standard deviations."""
    far = ODD * 1.4826 * float(np.median(np.abs(residuals)))
    return np.clip(residuals, -far, far)


def tail(F: float, over: int, under: int) -> float:
    """Return the upper tail probability of F with (over, under) degrees of freedom.

    Exact for over = 2, else the cube-root approximation of Paulson 1942. Where p is near 0.01 it is within a fifth of
    the true one; scipy.special takes longer to import than the tests take.
    """
    if over == 2:
        return (1 + 2 * F / under) ** (-under / 2)
    root, a, b = F ** (1 / 3), 2 / (9 * over), 2 / (9 * under)
    return erfc(((1 - b) * root - (1 - a)) / sqrt(2 * (b * root**2 + a))) / 2


def f_test(before: float, after: float, more: int, spare: int) -> float:
    """Return the p value of `more` additional terms that lower the residual sum of squares from before to after.

    spare: residual degrees of freedom with these terms.
    """
    return tail(max(0.0, before - after) / more / (after / spare), more, spare)
