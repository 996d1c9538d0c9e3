"""Deviations from a law that its runs do not exclude: a slow drift along an input, or a bend at the large end.

A term is added to the law's logarithm: a drift is a share of the median response per decade of one input (such as a
floor that falls with N); a bend is a change of slope over the largest runs (such as the onset of a plateau). The part
of the term that the law's parameters can absorb is removed; the rest is estimated from the residuals, linearly around
the fit. A priori, no change, a drift along each input and some bend are equally likely, and each coefficient is normal
with its prior standard deviation.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import sqrt

import numpy as np

from analysis.fitting.allocation import FARTHEST, inputs_at, log_loss
from analysis.fitting.objective import Engine, Problem, jacobian
from analysis.fitting.verdict.coefficient import Coefficient, amounts
from analysis.fitting.verdict.misfit import residual_deviation, residual_excess
from analysis.fitting.verdict.run_residuals import by_run, clipped, run_means, tail
from analysis.laws.base import Array, Inputs

PRIOR = 0.03
"""Prior standard deviation of a drift: share of the median response per decade."""
BENT = 1.0
"""Prior standard deviation of a bend: share of the law's own slope at the largest inputs."""
LAST = 0.15
"""Share of the data's range, at its large end, over which a bend acts."""
FEWEST = 5
"""Minimum residual degrees of freedom for estimating drifts."""
STEP = 0.3
"""Step in log N of the derivatives of a law and of a term at the optimum."""
FLAT = 1e-9
"""Least curvature of a law's logarithm in log N at the optimum."""
SINGULAR = 1e-6
"""Singular values of the law's Jacobian below this share of the largest count as zero."""


@dataclass(frozen=True)
class Term:
    """A term with unit coefficient that may be added to a law's logarithm; a bend starts at `place`.

    along: coefficient of each centred log input in the term. name: the input's, or "size". prior: prior standard
    deviation of the coefficient. weight: prior odds against no change.
    """

    name: str
    along: dict[str, float]
    place: float
    prior: float
    weight: float
    bend: bool

    def value(self, engine: Engine, inputs: Inputs) -> Array:
        """Return the term at inputs (m,) in the residuals' unit, before the law's parameters adjust."""
        problem = engine.problem
        u = sum((share * inputs[name] for name, share in self.along.items()), np.zeros(1)) - self.place
        term = np.maximum(u, 0.0) if self.bend else u
        if self.bend == (problem.objective.space == "log"):  # a bend is a factor, a drift a difference
            return term
        with np.errstate(all="ignore"):
            curve = problem.law.evaluate(engine.column, inputs).h[0]
        return term * np.exp(curve if self.bend else -curve)


@dataclass(frozen=True)
class Drift(Coefficient):
    """The estimated coefficient of a term (drifts: share of the median y per decade).

    p_value: of the hypothesis of no such term. absorbed: change of the law's parameters (p,) that absorbs a unit term.
    """

    term: Term
    p_value: float
    absorbed: Array


def estimate_drifts(engine: Engine) -> tuple[Drift, ...]:
    """Estimate the drift along each input from the residuals; empty with too few runs."""
    return _estimated(_drifts(engine.problem), engine)


def effect_of(drift: Drift, engine: Engine, inputs: Inputs) -> Array:
    """Return the change of the refitted law at inputs (m,) per unit of the coefficient, in the residuals' unit."""
    slopes = jacobian(replace(engine.problem, inputs=inputs), engine.theta)
    return drift.term.value(engine, inputs) - slopes.T @ drift.absorbed


def excess_of(engine: Engine) -> float:
    """Return how many times as far the law may be off as independent residuals say: 1 without a lack of fit.

    A law's own error is smooth: it does not average out over neighbouring runs, and refits to resampled runs take it
    for noise that does.
    """
    return residual_excess(*run_means(engine))


def with_drifts(curves: Array, engine: Engine, inputs: Inputs, *, seed: int) -> Array:
    """Add to each refit's log curve (m, R) at inputs (m,) one term or none, by the posterior odds."""
    found = _terms(engine)
    if not found:
        return curves
    effects = np.stack([effect_of(one, engine, inputs) for one in found])
    moved = effects.T @ amounts(found, curves.shape[1], seed=seed)
    if engine.problem.objective.space == "log":
        return curves + moved
    log_y = engine.problem.units.log_y
    return log_y + np.log(np.maximum(np.exp(curves - log_y) + moved, 1e-300))


def effects_at(engine: Engine, log_N: Array, log_D: Array) -> tuple[tuple[Drift, ...], Array]:
    """Return the estimated terms, and what a unit of each changes of the log response at N and D (k, m)."""
    found, problem, theta = _terms(engine), engine.problem, engine.column
    path = inputs_at(problem, theta, log_N[None], log_D[None])
    inputs = {name: np.broadcast_to(x, (1, len(log_N)))[0] for name, x in path.items()}
    effects = np.array([effect_of(one, engine, inputs) for one in found]).reshape(len(found), len(log_N))
    if problem.objective.space != "log":  # to shares of the response, at whose minimum a factor does not matter
        with np.errstate(all="ignore"):
            effects = effects / np.exp(problem.law.evaluate(theta, path).h)
    return found, effects


def with_drifted_optimum(optima: Array, engine: Engine, best: tuple[float, float], *, seed: int) -> Array:
    """Add to the log N* and log response of each refit (2, R) what one term or none changes, by the posterior odds.

    best: N and D of the fit's own optimum. To first order, N* moves to where the law and the term together are lowest
    at the same C, and the response there changes by the term.
    """
    steps = STEP * np.array([-1.0, 0.0, 1.0])
    path = np.log(best[0]) + steps, np.log(best[1]) - steps
    found, effects = effects_at(engine, *path)
    if not found:
        return optima
    curve = log_loss(engine.problem, engine.column, *(one[None] for one in path))[0]
    slope = (effects[:, 2] - effects[:, 0]) / (2 * STEP)
    bend = (curve[0] - 2 * curve[1] + curve[2]) / STEP**2
    changes = np.stack([-slope / max(bend, FLAT), effects[:, 1]]) @ amounts(found, optima.shape[1], seed=seed)
    return optima + np.clip(changes, -FARTHEST, FARTHEST)


def _terms(engine: Engine) -> tuple[Drift, ...]:
    """Estimate each drift and each bend from the residuals."""
    return _estimated([*_drifts(engine.problem), *_bends(engine.problem, engine.theta)], engine)


def _estimated(terms: list[Term], engine: Engine) -> tuple[Drift, ...]:
    """Estimate the coefficient of each term when it alone is added to the law."""
    spare = engine.points.n_runs - len(engine.theta) - 1
    if spare < FEWEST:
        return ()
    rest, slopes, logs = run_means(engine)
    size = np.sqrt((slopes**2).sum(axis=1, keepdims=True)) + 1e-300
    follow = np.linalg.pinv((slopes / size).T, rcond=SINGULAR) / size  # (p, runs): projects onto the law's slopes
    noise, rest = residual_deviation(rest, slopes, logs), clipped(rest)
    if noise <= 0:
        return ()
    found = []
    for term in terms:
        whole = by_run(term.value(engine, engine.problem.inputs)[None], engine.points.run)[0]
        absorbed = follow @ whole
        own = whole - slopes.T @ absorbed
        square = float(own @ own)
        if square > SINGULAR**2 * float(whole @ whole):
            mean, deviation = float(own @ rest) / square, noise / sqrt(square)
            p = tail((mean / deviation) ** 2, 1, spare)
            found.append(Drift(mean, deviation, term.prior, term.weight, term, p, absorbed))
    return tuple(found)


def _drifts(problem: Problem) -> list[Term]:
    decade = 1 / np.log(10)
    return [Term(name, {name: decade}, decade * float(x.mean()), PRIOR, 1.0, bend=False) for name, x in _sizes(problem)]


def _bends(problem: Problem, theta: Array) -> list[Term]:
    """Return a bend along each input, and along the size if there are several inputs; their prior odds sum to one."""
    inputs = dict(_sizes(problem))
    ranges = {name: float(np.ptp(x)) for name, x in inputs.items() if np.ptp(x) > 0}
    ways = [{name: 1 / wide} for name, wide in ranges.items()]
    if len(ranges) > 1:
        ways.append({name: 1 / wide / len(ranges) for name, wide in ranges.items()})
    found = []
    for along in ways:
        u = sum((share * inputs[name] for name, share in along.items()), np.zeros(1))
        low, high = float(u.min()), float(u.max())
        largest = {name: x[[int(np.argmax(u))]] for name, x in problem.inputs.items()}
        with np.errstate(all="ignore"):  # d log law / d u at the largest runs
            fall = sum(
                float(problem.law.elasticity(theta[:, None], largest, name)[0, 0]) * ranges[name] for name in along
            )
        if high > low and np.isfinite(fall) and fall:
            name = next(iter(along)) if len(along) == 1 else "size"
            place = high - LAST * (high - low)
            found.append(Term(name, along, place, BENT * abs(fall), 1 / len(ways), bend=True))
    return found


def _sizes(problem: Problem) -> Iterator[tuple[str, Array]]:
    return ((name, x) for name, x in problem.inputs.items() if name != "D_unique")
