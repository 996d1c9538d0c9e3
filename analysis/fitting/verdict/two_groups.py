"""Detect two groups of runs about a law: data sets, units or recipes mixed in a table without a column for them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.fitting.verdict.run_residuals import clipped
from analysis.laws.base import Array

LEAST = 0.2
"""Minimum share of the runs in the smaller group; fewer are outliers."""
NARROWER, NARROWER_FEW = 2.3, 28.0
"""Minimum ratio of the scatter about one law to that about two curves: the first plus the second over the number of
runs. With normal, uniform or heavy-tailed noise, at most 1 table in 100 of 12 to 80 runs reaches it."""
TILTS, SHARES = (-1.0, 0.0, 1.0), (0.35, 0.5, 0.65)
"""Starting splits: runs ordered by residual minus tilt times size, cut at these quantiles."""
ROUNDS = 12
"""Maximum number of reassignments from each starting split."""


@dataclass(frozen=True)
class TwoGroups:
    """Two groups of runs: their counts, the rms distance of their curves, and the scatter about one and two curves."""

    few: int
    many: int
    apart: float
    together: float
    inside: float


def two_groups(residuals: Array, slopes: Array, logs: Array) -> TwoGroups | None:
    """Split residuals (n,) between two curves that differ by a factor and a power of size; None if one curve suffices.

    slopes: the law's Jacobian (p, n); logs: its log inputs (d, n).
    """
    n, p = len(residuals), len(slopes)
    if n < p + 8:
        return None
    size = (logs - logs.mean(axis=1, keepdims=True)) / (logs.std(axis=1, keepdims=True) + 1e-12)
    size = size.sum(axis=0) / np.sqrt(len(size))
    law = (slopes / (np.linalg.norm(slopes, axis=1, keepdims=True) + 1e-300)).T
    residuals = _without_odd(residuals)
    rest = residuals - law @ np.linalg.lstsq(law, residuals, rcond=1e-10)[0]
    together = float(np.sqrt((rest**2).sum() / (n - p)))
    best, found = np.inf, None
    for tilt in TILTS:
        begin = rest - tilt * together * size
        for share in SHARES:
            left, member, gap = _settle(begin > np.quantile(begin, share), rest, law, size)
            if left < best:
                best, found = left, (member, gap)
    inside = float(np.sqrt(best / (n - p - 2)))
    if found is None or together <= (NARROWER + NARROWER_FEW / n) * inside:
        return None
    member, gap = found
    few, many = sorted((int(member.sum()), int(n - member.sum())))
    return TwoGroups(few, many, float(np.sqrt(np.mean(gap**2))), together, inside)


def _without_odd(residuals: Array) -> Array:
    """Clip outliers that are too few to be a group."""
    near = clipped(residuals)
    return near if np.mean(near != residuals) < LEAST else residuals


def _settle(member: Array, rest: Array, law: Array, size: Array) -> tuple[float, Array, Array]:
    """Alternate between fitting two curves and reassigning the runs; return squares left, membership and gap."""
    best = np.inf, member, np.zeros_like(rest)
    for _ in range(ROUNDS):
        columns = np.column_stack([law, member, member * size])
        fitted = np.linalg.lstsq(columns, rest, rcond=1e-10)[0]
        one, gap = rest - law @ fitted[:-2], fitted[-2] + fitted[-1] * size
        moved = np.abs(one - gap) < np.abs(one)
        if not LEAST <= moved.mean() <= 1 - LEAST:
            break
        left = float(np.minimum(one**2, (one - gap) ** 2).sum())
        if left < best[0]:
            best = left, moved, gap
        if (moved == member).all():
            break
        member = moved
    return best
