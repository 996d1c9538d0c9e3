"""What drifts and bends that the runs do not exclude change in the cheapest model over training and inference."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from analysis.estimates.lifetime_cost.cheapest import Cost
from analysis.fitting.allocation import FARTHEST, log_loss
from analysis.fitting.objective import Engine, Problem
from analysis.fitting.verdict.coefficient import amounts
from analysis.fitting.verdict.drift import FLAT, STEP, Drift, effects_at
from analysis.laws.base import Array

SHORT = 0.01
"""Step in log N and log D of derivatives of the response and of the cost."""
NEWTON = 30
"""Steps of Newton's method along a curve of equal response."""


def with_drifted_models(
    models: Array, engine: Engine, best: Array, trained: Array | None, cost: Cost, *, seed: int
) -> Array:
    """Add to log N and log D of each refit's cheapest model (2, R) what one term or none changes.

    best, trained, cost: see `changes_of`.
    """
    found, changes = changes_of(engine, best, trained, cost)
    if not found:
        return models
    return models + np.clip(changes @ amounts(found, models.shape[1], seed=seed), -FARTHEST, FARTHEST)


def changes_of(engine: Engine, best: Array, trained: Array | None, cost: Cost) -> tuple[tuple[Drift, ...], Array]:
    """Return the terms, and what a unit of each changes in log N and log D of the cheapest model (2, k).

    To first order. best: log N and log D of the fit's own; trained: of the training-optimal one whose response both
    reach, None for a response that was asked for. The cheapest model moves along the curve of equal response to where
    its cost, which the term changes by making a size want more or fewer examples, is lowest. No terms where that curve
    ends nearby.
    """
    problem, theta = engine.problem, engine.column
    n = best[0] + STEP * np.array([-1.0, 0.0, 1.0])
    d = _equal_response(problem, theta, n, best)
    ends = np.empty((2, 0)) if trained is None else trained[:, None]
    found, effects = effects_at(engine, *np.concatenate([np.stack([n, d]), ends], axis=1))
    if not found or not np.isfinite([*d, *effects.ravel()]).all():
        return (), np.empty((2, 0))
    wanted = 0.0 if trained is None else effects[:, 3:]
    by_n = _slope(lambda n: log_loss(problem, theta, n[None], d[None])[0], n)
    by_d = _slope(lambda d: log_loss(problem, theta, n[None], d[None])[0], d)
    longer = (wanted - effects[:, :3]) / by_d
    dearer, total = longer * _slope(lambda d: cost(n, d), d), cost(n, d)
    bend = float(total[0] - 2 * total[1] + total[2]) / STEP**2
    move = -(dearer[:, 2] - dearer[:, 0]) / (2 * STEP) / max(bend, FLAT)
    return found, np.stack([move, longer[:, 1] - by_n[1] / by_d[1] * move])


def _equal_response(problem: Problem, theta: Array, n: Array, best: Array) -> Array:
    """Return log D (m,) at which sizes log N (m,) have the response of the best; not finite where none has."""
    target, d = log_loss(problem, theta, best[:1, None], best[1:, None])[0, 0], np.full(n.shape, best[1])
    with np.errstate(all="ignore"):
        for _ in range(NEWTON):
            d = d - (log_loss(problem, theta, n[None], d[None])[0] - target) / _slope(
                lambda d: log_loss(problem, theta, n[None], d[None])[0], d
            )
    return d


def _slope(of: Callable[[Array], Array], d: Array) -> Array:
    """Return the derivative (m,) of a function of log N or log D (m,)."""
    return (of(d + SHORT) - of(d - SHORT)) / (2 * SHORT)
