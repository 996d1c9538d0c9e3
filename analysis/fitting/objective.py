"""What is minimised: the weighted sum over points of a Huber, absolute or squared loss of residuals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from analysis.errors import UserError

Array = np.ndarray
LAD_DELTA = 1e-4
"""Least absolute deviation is reached as a Huber loss whose delta shrinks to this share of the median residual."""


@dataclass(frozen=True)
class Objective:
    """The loss of residuals: huber with its delta, lad or lsq, on log y or on raw y.

    Values follow Hoffmann et al. 2022: r^2 / 2 inside delta, delta (|r| - delta / 2) outside, |r| for lad, r^2 / 2 for
    lsq, summed over points (an average would stop optimisers early at these deltas).
    """

    name: Literal["huber", "lad", "lsq"] = "huber"
    delta: float = 1e-3
    space: Literal["log", "raw"] = "log"

    def __post_init__(self) -> None:
        if self.name not in ("huber", "lad", "lsq"):
            raise UserError(f"found the objective {self.name!r}; wanted huber, lad or lsq")
        if self.space not in ("log", "raw"):
            raise UserError(f"found the space {self.space!r}; wanted log or raw")
        if not (np.isfinite(self.delta) and self.delta > 0):
            raise UserError(f"found delta {self.delta}; wanted a positive number, such as 1e-3")

    def value(self, residuals: Array, weights: Array) -> Array:
        """Sum over the last axis."""
        if self.name == "lad":
            return (weights * np.abs(residuals)).sum(axis=-1)
        if self.name == "lsq":
            return 0.5 * (weights * residuals**2).sum(axis=-1)
        return huber(np.abs(residuals), weights, np.full(residuals.shape[:-1], self.delta))


def huber(size: Array, weights: Array, delta: Array) -> Array:
    """Sum weighted Huber losses of residuals of this size over the last axis; delta has the shape of what is left."""
    inside = np.minimum(size, delta[..., None])
    loss = inside / 2
    np.subtract(size, loss, out=loss)
    loss *= inside
    return np.einsum("...n,...n->...", weights, loss)
