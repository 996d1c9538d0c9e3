"""Compute-optimal N and D for a law that is a sum of a power of N and a power of D, under C = k N D."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.laws.base import Array


@dataclass(frozen=True)
class Allocation:
    """How the optimal N and D grow with C, as exponents."""

    N_exponent: float
    D_exponent: float
    N_exponent_interval: tuple[float, float] | None
    flops_per_nd: float


@dataclass(frozen=True)
class Optimum:
    """The optimal N and D for one C, the loss there, and what the next doubling of C buys."""

    C: float
    N: float
    D: float
    loss: float
    loss_after_doubling: float
    N_interval: tuple[float, float] | None = None
    D_interval: tuple[float, float] | None = None
    loss_interval: tuple[float, float] | None = None
    warnings: tuple[str, ...] = ()


def optimal_n(A: Array, B: Array, alpha: Array, beta: Array, product: Array) -> Array:
    """Return the N that minimises A N^-alpha + B D^-beta with N D = product (Hoffmann et al. 2022, equation 4)."""
    with np.errstate(all="ignore"):
        log_g = (np.log(alpha) + np.log(A) - np.log(beta) - np.log(B)) / (alpha + beta)
        return np.exp(log_g + beta / (alpha + beta) * np.log(product))
