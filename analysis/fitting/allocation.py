"""Compute-optimal N and D of a law under C = k N D: in closed form for a sum of powers, else by search."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from analysis.fitting.objective import Problem
from analysis.laws.base import Array, Inputs
from analysis.numbers import flops, number

FARTHEST = 16.0
"""Range of the search for an optimum: distance in log N from the middle of the data (shifted with C)."""
GRID = 129
"""Points of the search, a factor of 1.28 in N apart."""
GOLDEN = (5**0.5 - 1) / 2
"""The golden ratio, less 1."""
CLOSE = 45
"""Golden-section steps within a grid cell: N to nine digits."""

FAR_AHEAD = 100.0
"""Ratio of a target C to the largest run's above which it is reported; Hoffmann et al. 2022 went about as far."""
BELOW = 1.0001
"""Ratio of the smallest run's C to a target from which the target counts as below the runs."""


@dataclass(frozen=True)
class Allocation:
    """Exponents of the optimal N and D in C. at: the C at which they hold (None: at every C)."""

    N_exponent: float
    D_exponent: float
    N_exponent_interval: tuple[float, float] | None
    flops_per_nd: float
    at: float | None = None


@dataclass(frozen=True)
class Optimum:
    """The optimal N and D for one C (and batch, of a law that has one), the loss there, and what doubling C buys."""

    C: float
    N: float
    D: float
    loss: float
    loss_after_doubling: float
    N_interval: tuple[float, float] | None = None
    D_interval: tuple[float, float] | None = None
    loss_interval: tuple[float, float] | None = None
    warnings: tuple[str, ...] = ()
    batch: float | None = None


def optimal_n(problem: Problem, theta: Array, product: Array) -> Array:
    """Return the N (R,) that minimises a law at N D = product, for inner vectors (p, R); nan where there is no minimum.

    product: a scalar, one value per vector, or many values for a single vector.
    """
    split = problem.law.tradeoff(problem.params(theta))
    if split is None:
        return _searched(problem, theta, np.log(np.atleast_1d(product)))
    A, B, alpha, beta = split  # Hoffmann et al. 2022, equation 4
    with np.errstate(all="ignore"):
        log_g = (np.log(alpha) + np.log(A) - np.log(beta) - np.log(B)) / (alpha + beta)
        return np.exp(log_g + beta / (alpha + beta) * np.log(product))


def log_loss(problem: Problem, theta: Array, log_N: Array, log_D: Array) -> Array:
    """Return the log loss of each inner vector (p, R) at its own N and D (R, k), without repeats, at its best batch."""
    with np.errstate(all="ignore"):
        return problem.law.evaluate(theta, inputs_at(problem, theta, log_N, log_D)).h + problem.units.log_y


def far_targets(at: Sequence[float], smallest: float, largest: float) -> Iterator[str]:
    """Yield a sentence for each target C far from runs that used from smallest to largest FLOPs."""
    for C in at:
        if C / largest > FAR_AHEAD:
            yield (
                f"C = {flops(C)} is {number(C / largest, 3)} times the largest run's: so far ahead, intervals hold "
                "only if the form of the law does"
            )
        elif smallest / C > BELOW:
            yield f"C = {flops(C)} is below the smallest run's, {flops(smallest)}: is that the compute you meant?"


def inputs_at(problem: Problem, theta: Array, log_N: Array, log_D: Array) -> Inputs:
    """Return the law's centred inputs at N and D (R, k), without repeats and at the best batch of theta (p, R)."""
    law, centres = problem.law, problem.units.log_inputs
    sizes = {"N": log_N, "D": log_D, **law.others(problem.params(theta), log_N, log_D)}
    return {name: sizes[name] - centres[name] for name in law.inputs}


def local_exponent(problem: Problem, theta: Array, product: float) -> Array:
    """Return the local exponent (R,) of the optimal N in C at one product N D."""
    split = problem.law.tradeoff(problem.params(theta))
    with np.errstate(all="ignore"):
        if split is not None:
            return np.atleast_1d(split[3] / (split[2] + split[3]))
        ends = (optimal_n(problem, theta, np.array(product * times)) for times in (0.5, 2.0))
        return -np.subtract(*np.log(tuple(ends))) / np.log(4.0)


def _searched(problem: Problem, theta: Array, log_product: Array) -> Array:
    """Find the lowest interior minimum on a grid in log N, then refine it by golden section.

    The ends of the grid do not count: far from all runs a law may fall without end.
    """
    size = max(theta.shape[1], len(log_product))
    theta = np.broadcast_to(theta, (len(theta), size))
    total = np.broadcast_to(log_product, size)[:, None]

    def value(log_N: Array) -> Array:
        h = log_loss(problem, theta, log_N, total - log_N)
        return np.where(np.isfinite(h), h, np.inf)

    centres = problem.units.log_inputs
    middle = (total + centres["N"] - centres["D"]) / 2
    grid = middle + np.linspace(-FARTHEST, FARTHEST, GRID)
    h = value(grid)
    valley = (h[:, 1:-1] < h[:, :-2]) & (h[:, 1:-1] <= h[:, 2:])
    lowest = 1 + np.argmin(np.where(valley, h[:, 1:-1], np.inf), axis=1)
    inside = valley.any(axis=1)
    width = 2 * FARTHEST / (GRID - 1)
    low = grid[np.arange(size), lowest][:, None] - width
    high = low + 2 * width
    for _ in range(CLOSE):
        left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
        lower = value(left) < value(right)
        low, high = np.where(lower, low, left), np.where(lower, right, high)
    return np.where(inside, np.exp((low + high)[:, 0] / 2), np.nan)
