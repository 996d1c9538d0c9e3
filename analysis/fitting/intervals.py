"""Intervals from refits: percentile, or bias-corrected and accelerated (BCa; Efron 1987)."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np

from analysis.laws.base import Array


def percentile(samples: Array, level: float) -> Array:
    """Return (low, high) of samples (k, R) along the last axis: shape (k, 2). NaN counts as infinite."""
    with np.errstate(invalid="ignore"):
        ends = np.quantile(np.nan_to_num(samples, nan=np.inf), [(1 - level) / 2, (1 + level) / 2], axis=-1).T
    return np.where(np.isnan(ends), np.inf, ends)  # between two infinite samples


def bca(samples: Array, estimate: Array, jackknifed: Array, level: float) -> Array:
    """Return BCa intervals (k, 2) of samples (k, R), given the estimate (k,) and jackknife values (k, groups)."""
    normal = NormalDist()
    ends = np.array([normal.inv_cdf((1 - level) / 2), normal.inv_cdf((1 + level) / 2)])
    out = np.empty((len(samples), 2))
    for k, row in enumerate(samples):
        share = (np.sum(row < estimate[k]) + 0.5 * np.sum(row == estimate[k])) / len(row)
        z = normal.inv_cdf(min(max(share, 0.5 / len(row)), 1 - 0.5 / len(row)))
        pull = jackknifed[k].mean() - jackknifed[k]
        spread = (pull**2).sum()
        a = (pull**3).sum() / (6 * spread**1.5) if spread > 0 else 0.0
        shifted = z + (z + ends) / np.maximum(1 - a * (z + ends), 1e-3)
        out[k] = np.quantile(row, [normal.cdf(value) for value in shifted])
    return out
