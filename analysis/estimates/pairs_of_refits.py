"""Compute multipliers of pairs of refits of two fits, which are independent, and of the fits themselves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from analysis.errors import Refusal, UserError
from analysis.fitting.allocation import log_loss, optimal_n
from analysis.fitting.resample import WEIGHTS, nearly_absolute, refit
from analysis.fitting.result import Fit
from analysis.laws.base import Array

GRID = 25
"""Computes, evenly spaced in log C over the common range, at which the frontiers are compared."""
FAR = 1e4
"""Factor beyond the common range within which a reversal of the order is searched for."""
FARTHEST = 50.0
"""Log multiplier at which multipliers are clipped."""


def with_weighted_refits(found: Fit) -> Fit:
    """Return a fit by nearly absolute errors with refits that give each run a random weight, where they drew runs."""
    engine, samples = found.engine, found.engine.samples
    jumps = nearly_absolute(engine.problem.objective, engine.residuals)
    if samples is None or found.card["resample"] != "runs" or not jumps:
        return found
    count, seed = samples.shape[1], found.card["seed"]
    again = refit(engine.problem, engine.points, engine.column, count=count, resample=WEIGHTS, seed=seed)
    return replace(found, engine=replace(engine, samples=again.theta))


def unpaired(found: Fit) -> Fit:
    """Renumber the refits, so that they are independent of those with the same number in a fit of the same seed.

    With one seed, runs in the same places of two tables get the same weights or signs, and refits deviate together.
    """
    return replace(found, engine=replace(found.engine, samples=np.roll(found.engine.refits, 1, axis=1)))


def log_multipliers(fits: tuple[Fit, Fit], grid: Array, first: tuple[float, float]) -> tuple[Array, Array]:
    """Return the log multiplier at each log C of the second (k,), and those of pairs of refits (R, k).

    first: the range of C of the first; its frontier is inverted on this range extended by `FAR`.
    """
    wide = np.linspace(np.log(first[0] / FAR), np.log(first[1] * FAR), 8 * GRID)

    def pairs(first: Array, second: Array) -> Array:
        known, wanted = frontier_of(fits[0], first, wide), frontier_of(fits[1], second, grid)
        return np.stack([_inverted(wide, a, b) - grid for a, b in zip(known, wanted, strict=True)])

    return pairs(*(found.engine.column for found in fits))[0], pairs(*(found.engine.refits for found in fits))


def frontier_of(found: Fit, theta: Array, log_C: Array) -> Array:
    """Return the minimum log y (R, k) of each inner vector (p, R) at each log C (k,)."""
    problem = found.engine.problem
    law, units = problem.law, problem.units
    if len(law.inputs) == 1:
        (name,) = law.inputs
        return np.asarray(law.evaluate(theta, {name: log_C - units.log_inputs[name]}).h + units.log_y)
    if found.allocation is None:
        raise Refusal(f"the law {law.name} does not say how to share C between N and D; compare by another law")
    product = log_C - np.log(found.allocation.flops_per_nd)
    same = np.ones(theta.shape[1])
    with np.errstate(all="ignore"):
        N = np.log(np.stack([optimal_n(problem, theta, np.exp(one) * same) for one in product], axis=1))
    return np.nan_to_num(log_loss(problem, theta, N, product - N), nan=np.inf)


def _inverted(log_C: Array, log_y: Array, wanted: Array) -> Array:
    """Return the log C at which a falling frontier reaches each log y; infinite where it never does."""
    falling = np.minimum.accumulate(log_y)
    found = np.interp(-wanted, -falling, log_C)
    return np.where(wanted < falling[-1], np.inf, np.where(wanted > falling[0], -np.inf, found))


def computes(found: Fit) -> Array:
    """Return C of each fitted row; raise `UserError` where the law is neither in C nor in N and D."""
    points = found.engine.points
    if {"N", "D"} <= set(points.inputs):
        return np.asarray(points.inputs["N"] * points.inputs["D"] * points.flops_per_nd)
    columns = list(points.columns.values())
    if columns != ["C"]:
        raise UserError(
            f"found the law {found.law} in {', '.join(columns)}; wanted one in C, which is compared, or in N and D"
        )
    return next(iter(points.inputs.values()))


def recentred(best: Array, samples: Array) -> Array:
    """Shift the values of refit pairs (R, k) so that their median is the fits' values (k,); see docs/coverage.md."""
    samples = np.clip(samples, -FARTHEST, FARTHEST)
    return np.asarray(samples + np.clip(best, -FARTHEST, FARTHEST) - np.median(samples, axis=0))
