"""Serial correlation of residuals along D: rows of one run's learning curve, which deviate alike.

Where no column names the run, each row counts as a run of its own, and intervals are too narrow.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from math import erfc, sqrt

import numpy as np

from analysis.fitting.points import Points, codes, setting_numbers
from analysis.fitting.verdict.misfit import FEWEST, MOST_TERMS, TINY, polynomials
from analysis.fitting.verdict.run_residuals import clipped
from analysis.laws.base import Array
from analysis.table.recognise.roles import role_of

PAIRS = 12
"""Minimum number of neighbouring rows."""


@dataclass(frozen=True)
class SerialCorrelation:
    """The correlation of neighbouring rows' residuals, its p value, and the rms of these residuals."""

    value: float
    p_value: float
    scatter: float

    @property
    def common(self) -> float:
        """Return the rms deviation that neighbours share."""
        return self.scatter * sqrt(max(0.0, self.value))


def serial_correlation(points: Points, residuals: Array, slopes: Array) -> SerialCorrelation | None:
    """Test residuals (n,) of neighbouring rows along D, of one size, for correlation; None where rows are no curves.

    slopes: the law's Jacobian (p, n), removed first. Where there are several sizes, a smooth deviation from the law
    (polynomials) and a common deviation of each size are removed too, as runs of their own may share them. The moments
    of the statistic, a ratio of quadratic forms in least-squares residuals, are exact for independent normal noise
    (Durbin and Watson 1950); its distribution is taken as normal.
    """
    along = _length(points)
    if points.runs_named or along is None:
        return None
    size = setting_numbers({name: x for name, x in points.inputs.items() if name not in (along, "D_unique")})
    size = np.broadcast_to(codes(size), points.n)
    order = np.lexsort((points.inputs[along], size))
    pairs = np.diff(size[order]) == 0
    repeated = len(np.unique(setting_numbers(points.inputs))) < points.n
    if repeated or pairs.sum() < PAIRS:
        return None
    rows = np.unique(size, return_counts=True)[1]
    sizes = _Sizes(rows if rows.size > 1 else rows[:0])
    return _tested(clipped(residuals)[order], _columns(points, slopes, size)[order], sizes, pairs)


@dataclass(frozen=True)
class _Sizes:
    """The rows of each size, which follow each other: their unit vectors are the directions of the sizes' means.

    rows: how many rows each size has; empty where nothing of the sizes is removed.
    """

    rows: Array

    def means(self, values: Array) -> Array:
        """Return the products (sizes, …) of values (n, …) with the directions."""
        if not self.rows.size:
            return values[:0]
        starts = np.cumsum(self.rows) - self.rows
        return (np.add.reduceat(values, starts).T / np.sqrt(self.rows)).T

    def without_means(self, values: Array) -> Array:
        """Return values (n, …) without these directions."""
        if not self.rows.size:
            return values
        return values - np.repeat((self.means(values).T / np.sqrt(self.rows)).T, self.rows, axis=0)


def _tested(residuals: Array, columns: Array, sizes: _Sizes, pairs: Array) -> SerialCorrelation | None:
    """Test residuals (n,), sorted along curves. columns (n, k): removed; pairs (n - 1,): which rows are neighbours."""
    known, rest = _basis(sizes.without_means(columns)), residuals
    for _ in range(2):  # twice: what rounding leaves the first time
        rest = sizes.without_means(rest)
        rest = rest - known @ (known.T @ rest)
    spare, square = rest.size - known.shape[1] - sizes.rows.size, float(rest @ rest)
    if spare < FEWEST or square <= 0:
        return None
    first, second = _moments(known, sizes, pairs)
    variance = 2 * (second - first**2 / spare) / (spare * (spare + 2))
    if variance <= 0:
        return None
    excess = float(rest @ _neighbours(rest, pairs)) / square - first / spare
    p_value = erfc(excess / sqrt(2 * variance)) / 2
    return SerialCorrelation(excess * rest.size / float(pairs.sum()), p_value, sqrt(square / spare))


def _moments(known: Array, sizes: _Sizes, pairs: Array) -> tuple[float, float]:
    """Return tr(M A) and tr(M A M A): A maps to half the sum of neighbours, M projects on what is not removed."""
    near, rows = _neighbours(known, pairs), sizes.rows
    inner, of_means = known.T @ near, (rows - 1) / rows  # of the directions of sizes, on which A is diagonal
    squares = pairs.sum() / 2 - 2 * ((near**2).sum() + (np.maximum(rows - 1.5, 0) / rows).sum())
    both = (inner**2).sum() + (of_means**2).sum() + 2 * (sizes.means(near) ** 2).sum()
    return -float(np.trace(inner) + of_means.sum()), float(squares + both)


def _length(points: Points) -> str | None:
    """Return the input that grows along a learning curve: D, or the one variable unless it is a model's size."""
    if "x" not in points.inputs:
        return "D" if "D" in points.inputs else None
    role = role_of(points.columns["x"])
    return "x" if role is None or role.name in ("D", "C") else None


def _columns(points: Points, slopes: Array, size: Array) -> Array:
    """Return the columns (n, k) that are removed beside each size's mean: the law, and smooth deviations from it."""
    scale = np.linalg.norm(slopes, axis=1, keepdims=True)
    law = (slopes / np.where(scale > 0, scale, 1.0)).T
    if size.min() == size.max():
        return law
    logs = np.stack([np.log(x) for x in points.inputs.values()])
    return np.column_stack([law, *islice(polynomials(logs), min(MOST_TERMS, (points.n - len(slopes)) // 3))])


def _basis(columns: Array) -> Array:
    """Return an orthonormal basis of columns (n, k)."""
    vectors, lengths, _ = np.linalg.svd(columns, full_matrices=False)
    return vectors[:, lengths > TINY * lengths[0]]


def _neighbours(values: Array, pairs: Array) -> Array:
    """Return half the sum of each row's neighbours of its own curve. values: (n,) or (n, k); pairs: (n - 1,)."""
    found, linked = np.zeros_like(values), pairs.reshape(-1, *[1] * (values.ndim - 1)) / 2
    found[:-1] += linked * values[1:]
    found[1:] += linked * values[:-1]
    return found
