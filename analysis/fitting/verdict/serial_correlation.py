"""Serial correlation of residuals along D: rows of one run's learning curve, which deviate alike.

Where no column names the run, each row counts as a run of its own, and intervals are too narrow.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from math import erfc, sqrt
from typing import Any

import numpy as np
from scipy.sparse import csr_array, diags_array

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
    removed = _Removed.of(_columns(points, slopes, size)[order], size[order])
    return _tested(clipped(residuals)[order], removed, pairs)


@dataclass(frozen=True)
class _Removed:
    """What is removed from residuals: the mean of each size, (n, sizes) and sparse, and an orthonormal rest (n, k)."""

    means: Any
    rest: Array

    @classmethod
    def of(cls, columns: Array, size: Array) -> _Removed:
        """Make them orthonormal. columns: (n, k); size (n,): a number for each size, ascending."""
        _, place, rows = np.unique(size, return_inverse=True, return_counts=True)
        several = len(rows) > 1
        means = csr_array((1 / np.sqrt(rows[place]), (np.arange(len(size)), place)))[:, : len(rows) if several else 0]
        vectors, lengths, _ = np.linalg.svd(columns - means @ (means.T @ columns), full_matrices=False)
        return cls(means, vectors[:, lengths > TINY * lengths[0]])

    @property
    def dimensions(self) -> int:
        """How many directions are removed."""
        return int(self.means.shape[1] + self.rest.shape[1])

    def from_(self, values: Array) -> Array:
        """Return values (n,) without these directions."""
        values = values - self.means @ (self.means.T @ values)
        return values - self.rest @ (self.rest.T @ values)


def _tested(residuals: Array, removed: _Removed, pairs: Array) -> SerialCorrelation | None:
    """Test residuals (n,), sorted along curves. pairs (n - 1,): which rows and their next are neighbours."""
    rest = removed.from_(removed.from_(residuals))  # twice: what rounding leaves the first time
    spare, square = rest.size - removed.dimensions, float(rest @ rest)
    if spare < FEWEST or square <= 0:
        return None
    neighbours = diags_array([pairs / 2, pairs / 2], offsets=[-1, 1]).tocsr()  # half the sum of a row's neighbours
    first, second = _moments(neighbours, removed)
    variance = 2 * (second - first**2 / spare) / (spare * (spare + 2))
    if variance <= 0:
        return None
    excess = float(rest @ (neighbours @ rest)) / square - first / spare
    p_value = erfc(excess / sqrt(2 * variance)) / 2
    return SerialCorrelation(excess * rest.size / float(pairs.sum()), p_value, sqrt(square / spare))


def _moments(form: Any, removed: _Removed) -> tuple[float, float]:
    """Return tr(M A) and tr(M A M A) of a form A (n, n) of zero trace; M projects on what is not removed."""
    means, rest = removed.means, removed.rest
    of_means, of_rest = form @ means, form @ rest
    first = -float((means * of_means).sum() + (rest * of_rest).sum())
    squares = _squares(form) - 2 * (_squares(of_means) + _squares(of_rest))
    inner = _squares(means.T @ of_means) + 2 * _squares(means.T @ of_rest) + _squares(rest.T @ of_rest)
    return first, squares + inner


def _squares(matrix: Any) -> float:
    return float((matrix**2).sum())


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
