"""A slow drift that a law knows nothing of, such as a floor that falls with N: how much of it do its runs allow?

To the law's value a share of the median response is added for each decade of one input. What the law's own parameters
can take up of that is nothing new; the rest is estimated from the residuals, linearly around the fit. Before the runs
are seen, no drift and a drift along each input are as likely, and a drift is normal with the deviation `PRIOR`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import exp, sqrt

import numpy as np

from analysis.fitting.certificate import information
from analysis.fitting.objective import Problem
from analysis.fitting.points import Points
from analysis.fitting.verdict.misfit import scatter
from analysis.fitting.verdict.run_residuals import by_run, drawn_in, tail
from analysis.laws.base import Array, Inputs

PRIOR = 0.03
"""Standard deviation of a drift before the runs are seen: share of the median response for each decade."""
FEWEST = 5
"""Degrees of freedom left to the noise below which nothing is known of drifts."""
SINGULAR = 1e-6
"""Share of the largest singular value of the law's slopes below which they say the same."""


@dataclass(frozen=True)
class Drift:
    """A drift along one input (its name in the law): mean and deviation as seen, shares of the median y a decade.

    p_value: of no drift. taken: what the law's parameters (p,) take up of a drift of one. middle: the centred
    logarithm of the input where the drift is zero.
    """

    name: str
    mean: float
    deviation: float
    p_value: float
    taken: Array
    middle: float

    @property
    def trust(self) -> float:
        """Weight of what was seen, 0 to 1, beside what is known before."""
        return PRIOR**2 / (PRIOR**2 + self.deviation**2)

    @property
    def believed(self) -> tuple[float, float]:
        """Mean and deviation, drawn towards zero by what is known before."""
        return self.trust * self.mean, sqrt(self.trust) * self.deviation

    @property
    def odds(self) -> float:
        """How much likelier the runs are with the drift than without."""
        return sqrt(1 - self.trust) * exp(min(self.trust * (self.mean / self.deviation) ** 2 / 2, 500.0))


def drifts(problem: Problem, points: Points, theta: Array, residuals: Array) -> tuple[Drift, ...]:
    """Estimate the drift along each input from residuals (n,) at theta (p,); empty where too few runs could tell."""
    spare = points.n_runs - len(theta) - 1
    if spare < FEWEST:
        return ()
    slopes = by_run(information(problem, theta, np.ones(problem.n))[0], points.run)
    size = np.sqrt((slopes**2).sum(axis=1, keepdims=True)) + 1e-300
    follow = np.linalg.pinv((slopes / size).T, rcond=SINGULAR) / size  # (p, runs): the law's part of anything
    rest, logs = (by_run(rows, points.run) for rows in (residuals[None], np.stack(list(problem.inputs.values()))))
    noise, rest = scatter(rest[0], slopes, logs), drawn_in(rest[0])
    if noise <= 0:
        return ()
    found = []
    for name in (name for name in problem.inputs if name != "D_unique"):
        middle = float(problem.inputs[name].mean())
        whole = by_run(_raw(problem, theta, problem.inputs, name, middle)[None], points.run)[0]
        taken = follow @ whole
        own = whole - slopes.T @ taken
        square = float(own @ own)
        if square > SINGULAR**2 * float(whole @ whole):
            mean, deviation = float(own @ rest) / square, noise / sqrt(square)
            found.append(Drift(name, mean, deviation, tail((mean / deviation) ** 2, 1, spare), taken, middle))
    return tuple(found)


def moves(drift: Drift, problem: Problem, theta: Array, inputs: Inputs) -> Array:
    """Return what a drift of one moves the fitted law at inputs (m,) once it has followed, in the residuals' unit."""
    at = replace(problem, inputs=inputs)
    slopes, _ = information(at, theta, np.ones(len(inputs[drift.name])))
    return _raw(problem, theta, inputs, drift.name, drift.middle) - slopes.T @ drift.taken


def drifted(
    curves: Array, problem: Problem, points: Points, theta: Array, residuals: Array, inputs: Inputs, *, seed: int
) -> Array:
    """Let log curves (m, R) of refits at inputs (m,) drift: each along one input or along none, by the odds of each."""
    found = drifts(problem, points, theta, residuals)
    if not found:
        return curves
    rng, R = np.random.default_rng(seed), curves.shape[1]
    weights = np.array([1.0, *(one.odds for one in found)])
    which = rng.choice(len(weights), size=R, p=weights / weights.sum())
    z, moved = rng.standard_normal(R), np.zeros_like(curves)
    for k, one in enumerate(found, start=1):
        mean, deviation = one.believed
        amount = np.where(which == k, mean + deviation * z, 0.0)
        moved += moves(one, problem, theta, inputs)[:, None] * amount
    if problem.objective.space == "log":
        return curves + moved
    log_y = problem.units.log_y
    return log_y + np.log(np.maximum(np.exp(curves - log_y) + moved, 1e-300))


def _raw(problem: Problem, theta: Array, inputs: Inputs, name: str, middle: float) -> Array:
    """Return a drift of one before the law follows: decades of an input, over the law's value in the log space."""
    decades = (inputs[name] - middle) / np.log(10)
    if problem.objective.space == "raw":
        return decades
    with np.errstate(all="ignore"):
        return decades * np.exp(-problem.law.evaluate(theta[:, None], inputs).h[0])
