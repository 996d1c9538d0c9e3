"""Deviations from a law that its runs hardly exclude: a slow drift along an input, or a bend at the large end.

To the law's logarithm a term is added: a drift is a share of the median response for each decade of one input (such as
a floor that falls with N), a bend another slope over the largest runs (such as a plateau to come). What the law's own
parameters can take up of that is nothing new; the rest is estimated from the residuals, linearly around the fit. Before
the runs are seen, no change, a drift along each input and some bend are as likely, and each is normal with its prior
deviation.
"""

from __future__ import annotations

from collections.abc import Iterator
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
BENT = 1.0
"""Standard deviation of a bend before the runs are seen: share of the law's own slope at the largest inputs."""
LAST = 0.15
"""Share of the data's range over which a bend has begun."""
FEWEST = 5
"""Degrees of freedom left to the noise below which nothing is known of drifts."""
SINGULAR = 1e-6
"""Share of the largest singular value of the law's slopes below which they say the same."""


@dataclass(frozen=True)
class Term:
    """What may be added to a law's logarithm, for one: `along`, from `place` on where it is a bend.

    along: what of each centred logarithm of an input is summed. name: that of the input, or of the size.
    prior: standard deviation of its factor. weight: how likely it is, beside no change, before the runs are seen.
    """

    name: str
    along: dict[str, float]
    place: float
    prior: float
    weight: float
    bend: bool

    def value(self, problem: Problem, theta: Array, inputs: Inputs) -> Array:
        """Return it at inputs (m,), in the residuals' unit, before the law follows."""
        u = sum((share * inputs[name] for name, share in self.along.items()), np.zeros(1)) - self.place
        term = np.maximum(u, 0.0) if self.bend else u
        if self.bend == (problem.objective.space == "log"):  # a bend is a factor, a drift a difference
            return term
        with np.errstate(all="ignore"):
            curve = problem.law.evaluate(theta[:, None], inputs).h[0]
        return term * np.exp(curve if self.bend else -curve)


@dataclass(frozen=True)
class Drift:
    """A term's factor as the runs show it: mean and deviation; for drifts, shares of the median y a decade.

    p_value: of none. taken: what the law's parameters (p,) take up of a factor of one.
    """

    term: Term
    mean: float
    deviation: float
    p_value: float
    taken: Array

    @property
    def name(self) -> str:
        """Name of the input (in the law) that it is along."""
        return self.term.name

    @property
    def trust(self) -> float:
        """Weight of what was seen, 0 to 1, beside what is known before."""
        return self.term.prior**2 / (self.term.prior**2 + self.deviation**2)

    @property
    def believed(self) -> tuple[float, float]:
        """Mean and deviation, drawn towards zero by what is known before."""
        return self.trust * self.mean, sqrt(self.trust) * self.deviation

    @property
    def odds(self) -> float:
        """How much likelier the runs are with it than without, and how likely it was before."""
        seen = sqrt(1 - self.trust) * exp(min(self.trust * (self.mean / self.deviation) ** 2 / 2, 500.0))
        return self.term.weight * seen


def drifts(problem: Problem, points: Points, theta: Array, residuals: Array) -> tuple[Drift, ...]:
    """Estimate the drift along each input from residuals (n,) at theta (p,); empty where too few runs could tell."""
    return _estimated(_drifts(problem), problem, points, theta, residuals)


def moves(drift: Drift, problem: Problem, theta: Array, inputs: Inputs) -> Array:
    """Return what a factor of one moves the fitted law at inputs (m,) once it has followed, in the residuals' unit."""
    at = replace(problem, inputs=inputs)
    slopes, _ = information(at, theta, np.ones(len(inputs[next(iter(drift.term.along))])))
    return drift.term.value(problem, theta, inputs) - slopes.T @ drift.taken


def drifted(
    curves: Array, problem: Problem, points: Points, theta: Array, residuals: Array, inputs: Inputs, *, seed: int
) -> Array:
    """Let log curves (m, R) of refits at inputs (m,) change: each by one term or by none, by the odds of each."""
    terms = [*_drifts(problem), *_bends(problem, theta)]
    found = _estimated(terms, problem, points, theta, residuals)
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


def _estimated(
    terms: list[Term], problem: Problem, points: Points, theta: Array, residuals: Array
) -> tuple[Drift, ...]:
    """Estimate the factor of each term, alone beside the law."""
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
    for term in terms:
        whole = by_run(term.value(problem, theta, problem.inputs)[None], points.run)[0]
        taken = follow @ whole
        own = whole - slopes.T @ taken
        square = float(own @ own)
        if square > SINGULAR**2 * float(whole @ whole):
            mean, deviation = float(own @ rest) / square, noise / sqrt(square)
            found.append(Drift(term, mean, deviation, tail((mean / deviation) ** 2, 1, spare), taken))
    return tuple(found)


def _drifts(problem: Problem) -> list[Term]:
    decade = 1 / np.log(10)
    return [Term(name, {name: decade}, decade * float(x.mean()), PRIOR, 1.0, bend=False) for name, x in _sizes(problem)]


def _bends(problem: Problem, theta: Array) -> list[Term]:
    """Return a bend along each input, and along the size where there are several; together as likely as none."""
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
        with np.errstate(all="ignore"):  # by how much the law's logarithm falls for one of u there
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
