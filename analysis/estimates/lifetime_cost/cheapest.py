"""Search for the N and D that reach a response at minimal cost of training and inference, for any law in N and D."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from analysis.fitting.allocation import log_loss, optimal_n
from analysis.fitting.objective import Problem
from analysis.laws.base import Array

Cost = Callable[[Array, Array], Array]
"""Log total cost of a model as a function of log N and log D."""
SMALLEST = 16.0
"""Search range: distance in log N below the training-optimal N."""
LONGEST = 25.0
"""Search range: distance in log D above the training-optimal D."""
GRID, ZOOMED, ZOOMS = 65, 17, 5
"""Sizes on the first grid and on finer ones about its best size, and the number of the latter: log N to 1e-5."""
HALVINGS = 40
"""Steps of a bisection: log D to 1e-10."""
PRODUCTS = 49
"""Grid points in log(N D) before bisection of the training-optimal response."""


def trained_to(problem: Problem, theta: Array, target: Array, around: tuple[float, float]) -> tuple[Array, Array]:
    """Return log N and log D (R,) of the least training compute that reaches log responses (R,); nan where none does.

    theta: inner vectors (p, R). around: the range of log(N D) searched.
    """

    def reached(log_product: Array) -> Array:
        log_N = np.log(optimal_n(problem, theta, np.exp(log_product)))
        return log_loss(problem, theta, log_N[:, None], (log_product - log_N)[:, None])[:, 0] <= target

    grid = np.linspace(*around, PRODUCTS)
    found = np.stack([reached(np.full(len(target), one)) for one in grid])
    first = np.argmax(found, axis=0)
    high = np.where(first > 0, grid[first], np.nan)
    low = high - (grid[1] - grid[0])
    low, high = _closed_in(reached, low, high)
    log_N = np.log(optimal_n(problem, theta, np.exp(high)))
    return log_N, high - log_N


def cheapest(
    problem: Problem, theta: Array, target: Array, trained: tuple[Array, Array], cost: Cost, *, larger: float = 0.0
) -> tuple[Array, Array]:
    """Return log N and log D (R,) that minimise a cost where the law reaches log responses (R,).

    theta: inner vectors (p, R). trained: log N and log D of the least training compute; inference in FLOPs can only
    move the optimum to smaller N (Sardana et al. 2024, arXiv 2401.00448, equation 3). larger: search range in log N
    above it, for costs not proportional to N. nan where there is no minimum.
    """
    most, least = trained[0][:, None] + larger, trained[1][:, None]
    rows = np.arange(len(target))

    def longer(log_N: Array) -> Array:
        def reached(log_D: Array) -> Array:
            return log_loss(problem, theta, log_N, log_D) <= target[:, None]

        low, high = (np.broadcast_to(least + by, log_N.shape) for by in (-1.0 - 2 * larger, LONGEST))
        return np.where(reached(high), _closed_in(reached, low, high)[1], np.inf)

    width, steps = SMALLEST + larger, np.linspace(-1.0, 0.0, GRID)
    centre, inside = most, np.isfinite(most[:, 0])
    for zoom in range(ZOOMS + 1):
        grid = np.minimum(centre + width * steps, most)
        log_D = longer(grid)
        total = np.where(np.isfinite(log_D), cost(grid, log_D), np.inf)
        best = np.argmin(total, axis=1)
        if zoom == 0:
            inside &= (best > 0) & np.isfinite(total[rows, best])
            inside &= (best < GRID - 1) | (larger == 0)
        centre, width = grid[rows, best][:, None], width * (steps[1] - steps[0])
        steps = np.linspace(-1.0, 1.0, ZOOMED)
    return np.where(inside, centre[:, 0], np.nan), np.where(inside, log_D[rows, best], np.nan)


def _closed_in(reached: Callable[[Array], Array], low: Array, high: Array) -> tuple[Array, Array]:
    """Bisect between low, which does not reach the target, and high, which does."""
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        there = reached(middle)
        low, high = np.where(there, low, middle), np.where(there, middle, high)
    return low, high
