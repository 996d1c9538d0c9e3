"""Effects of kinds of runs on a law: fits with a factor per kind, fits to each kind alone, and a linear test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from analysis.fitting.certificate import information
from analysis.fitting.objective import Problem, residuals
from analysis.fitting.solver import solve
from analysis.fitting.verdict.run_residuals import clipped, tail
from analysis.laws.base import Array, Evaluation, Inputs, Law

if TYPE_CHECKING:
    from analysis.fitting.result import Fit
    from analysis.table.mixtures import Mixture

MOST_LEVELS = 8
"""Maximum number of values of a numeric setting that get a factor each; with more it enters as a smooth curve."""
IDENTIFIED = 0.03
"""Minimum share of an exponent's information that remains once kinds are modelled; below it they are confounded."""
MANY = 4
"""Minimum points per parameter for fitting a kind alone."""
STARTS = 6


@dataclass(frozen=True)
class Factored(Law):
    """A law with a multiplicative factor for each kind of run: log f + sum_k t_k z_k, with z (k, n) in design."""

    base: Law | None = None
    design: Array | None = None

    def evaluate(self, theta: Array, inputs: Inputs) -> Evaluation:
        """Return log f with first derivatives."""
        assert self.base is not None
        assert self.design is not None
        p, z = len(self.base.params), self.design
        inner = self.base.evaluate(theta[:p], inputs)
        shift = np.einsum("kb,kn->bn", theta[p:], z)
        return Evaluation(
            inner.h + shift, lambda: [*inner.gradient(), *(np.broadcast_to(row, shift.shape) for row in z)], None
        )

    def box(self) -> tuple[Array, Array]:
        """Return the base law's bounds, extended by wide bounds for the log factors."""
        assert self.base is not None
        assert self.design is not None
        low, high = self.base.box()
        wide = np.full(len(self.design), 20.0)
        return np.concatenate([low, -wide]), np.concatenate([high, wide])


@dataclass(frozen=True)
class Moved:
    """The fit with a factor for each kind: p value of the kinds' difference, and the law's exponents."""

    p_value: float
    exponents: dict[str, float]


def chance(found: Fit, mixture: Mixture) -> float:
    """Return the p value of a difference between a column's kinds, linearly around the fit; 0 where it is untestable.

    The smaller p value of two alternatives: a factor for each kind, and a factor and exponents for each kind.
    """
    if mixture.follows in found.engine.points.columns.values():
        return 0.0
    problem = found.engine.problem
    slopes, _ = information(problem, found.engine.theta, np.ones(problem.n))
    return chance_of(found.engine.residuals, slopes, list(problem.inputs.values()), mixture)


def chance_of(rest: Array, slopes: Array, sizes: Sequence[Array], mixture: Mixture) -> float:
    """Return that p value for residuals (n,) of a model with derivatives (p, n), and log sizes (n,) that kinds bend."""
    rest, design = clipped(rest), design_of(mixture)
    was, few = _rest_squares(rest, slopes)
    bent, chances = [design * (x - x.mean()) for x in sizes], []
    for more in ([design], [design, *bent]):
        left, many = _rest_squares(rest, np.concatenate([slopes, *more]))
        spare = len(rest) - many
        if many == few or spare < 3 or left <= 0:
            return 0.0
        chances.append(tail(max(0.0, was - left) / (many - few) / (left / spare), many - few, spare))
    return min(chances)


def by_size(found: Fit, mixture: Mixture) -> tuple[float, float]:
    """Return the p value of exponents of each kind, and the share of the scatter that they explain.

    Linearly around the fit, beside a factor of each kind and a quadratic in the log sizes, which takes up what the law
    misses of all kinds.
    """
    problem, design = found.engine.problem, design_of(mixture)
    slopes, _ = information(problem, found.engine.theta, np.ones(problem.n))
    sizes = [x - x.mean() for x in problem.inputs.values()]
    smooth = [one * other for i, one in enumerate([np.ones(problem.n), *sizes]) for other in sizes[max(0, i - 1) :]]
    rest, base = clipped(found.engine.residuals), np.concatenate([slopes, [np.ones(problem.n)], smooth, design])
    was, few = _rest_squares(rest, base)
    left, many = _rest_squares(rest, np.concatenate([base, *(design * size for size in sizes)]))
    spare = problem.n - many
    if many == few or spare < 3 or left <= 0:
        return 1.0, 0.0
    p_value = tail(max(0.0, was - left) / (many - few) / (left / spare), many - few, spare)
    return p_value, 1 - left / spare / (was / (problem.n - few))


def _rest_squares(rest: Array, columns: Array) -> tuple[float, int]:
    """Return the residual sum of squares after regressing rest (n,) on columns (k, n), and the rank of the columns."""
    size = np.sqrt((columns**2).sum(axis=1, keepdims=True)) + 1e-300
    weights, _, rank, _ = np.linalg.lstsq((columns / size).T, rest, rcond=1e-10)
    return float(((rest - weights @ (columns / size)) ** 2).sum()), int(rank)


def unpooled(found: Fit, mixture: Mixture) -> Moved | None:
    """Refit the law with a factor for each kind; None where kinds and exponents are confounded in the points."""
    problem, theta, points = found.engine.problem, found.engine.theta, found.engine.points
    design = design_of(mixture)
    names = list(problem.law.exponents)
    if not can_tell(found, design):
        return None
    law = Factored(problem.law.name, (*problem.law.params, *map(str, range(len(design)))), problem.law.inputs, "", "")
    wider = replace(problem, law=replace(law, base=problem.law, design=design))
    drawn = problem.law.starts(problem.inputs, _log_y(problem), points.weights, STARTS, np.random.default_rng(0))
    starts = np.concatenate([theta[:, None], drawn], axis=1)
    solution = solve(wider, np.concatenate([starts, np.zeros((len(design), starts.shape[1]))]), weights=points.weights)
    best = solution.theta[:, int(np.argmin(solution.value))]
    inner = dict(zip(problem.law.params, problem.law.unscale(best[: len(theta)], problem.units).tolist(), strict=True))
    return Moved(_p_value(wider, found, best, len(design)), {name: inner[name] for name in names})


def alone(found: Fit, mixture: Mixture) -> dict[str, dict[str, tuple[float, float]]]:
    """Fit the law to each kind that has enough points; return its exponents with standard deviations."""
    problem, points = found.engine.problem, found.engine.points
    names, own = list(problem.law.exponents), {}
    for k, value in enumerate(mixture.values[:MOST_LEVELS]):
        here = mixture.code == k
        if here.sum() < MANY * len(found.engine.theta):
            continue
        inputs = {name: x[here] for name, x in problem.inputs.items()}
        part, some = replace(problem, inputs=inputs, response=problem.response[here]), points.take(here)
        drawn = problem.law.starts(inputs, _log_y(part), some.weights, STARTS, np.random.default_rng(0))
        starts = np.concatenate([found.engine.theta[:, None], drawn], axis=1)
        solution = solve(part, starts, weights=some.weights)
        theta = solution.theta[:, int(np.argmin(solution.value))]
        outer, spread = problem.law.unscale(theta, problem.units), deviations(part, theta)
        where = [problem.law.params.index(name) for name in names]
        own[value] = {name: (float(outer[i]), float(spread[i])) for name, i in zip(names, where, strict=True)}
    return own


def design_of(mixture: Mixture) -> Array:
    """Return the design columns (k, n) of the kinds: dummy variables, or a parabola in the logarithm of a setting."""
    if mixture.numbers is not None and is_smooth(mixture):
        logs = np.log(mixture.numbers)
        unit = (logs - logs.mean()) / max(float(logs.std()), 1e-12)
        return np.stack([unit, unit**2 - (unit**2).mean()])
    return (mixture.code[None, :] == np.arange(1, len(mixture.values))[:, None]).astype(float)


def _log_y(problem: Problem) -> Array:
    return problem.response if problem.objective.space == "log" else np.log(np.maximum(problem.response, 1e-3))


def is_smooth(mixture: Mixture) -> bool:
    """Tell whether a numeric setting has so many values that it is modelled by a parabola in its logarithm."""
    return mixture.numbers is not None and len(mixture.values) > MOST_LEVELS


def can_tell(found: Fit, design: Array) -> bool:
    """Tell whether the points identify the effects of kinds (k, n) separately from the law's exponents."""
    law = found.engine.problem.law
    slopes, _ = information(found.engine.problem, found.engine.theta, np.ones(found.n_points))
    spare = found.n_points - len(found.engine.theta) - len(design)
    return spare >= 3 and _identified(slopes, design, [law.params.index(name) for name in law.exponents])


def _identified(slopes: Array, design: Array, which: list[int]) -> bool:
    """Tell whether each of these parameters keeps a share IDENTIFIED of its information when the design is added."""
    for i in which:
        others = np.delete(slopes, i, axis=0)
        alone, beside = _outside(slopes[i], others), _outside(slopes[i], np.concatenate([others, design]))
        if beside < IDENTIFIED * alone:
            return False
    return True


def _outside(row: Array, others: Array) -> float:
    """Return the squared norm of the component of a row orthogonal to the others."""
    weights, *_ = np.linalg.lstsq(others.T, row, rcond=1e-10)
    return float(((row - weights @ others) ** 2).sum())


def _p_value(wider: Problem, found: Fit, theta: Array, more: int) -> float:
    """Return the p value of an F test of the factors on run-averaged residuals, with outliers clipped."""
    before, after = found.engine.residuals, residuals(wider, theta[:, None])[0]
    run = found.engine.points.run
    count = np.bincount(run)
    before, after = (np.bincount(run, rest) / np.sqrt(count) for rest in (before, after))
    edge = max(4 * 1.4826 * float(np.median(np.abs(after))), float(np.quantile(np.abs(before), 0.9)), 1e-300)
    left, was = (float((np.clip(rest, -edge, edge) ** 2).sum()) for rest in (after, before))
    spare = len(count) - len(theta)
    if spare < 1 or left <= 0:
        return 1.0
    return tail(max(0.0, was - left) / more / (left / spare), more, spare)


def deviations(problem: Problem, theta: Array) -> Array:
    """Return standard errors of the parameters (p,) at theta, for least absolute deviation under normal noise."""
    _, gram = information(problem, theta, np.ones(problem.n))
    scale = 1.4826 * float(np.median(np.abs(residuals(problem, theta[:, None])[0])))
    freedom = problem.n / max(1, problem.n - len(theta))
    return np.sqrt(np.pi / 2 * freedom * np.diag(np.linalg.pinv(gram))) * scale
