"""Effects of kinds of runs on a law: fits with a factor per kind, fits to each kind alone, and a linear test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations_with_replacement
from typing import TYPE_CHECKING

import numpy as np

from analysis.fitting.objective import Problem, jacobian, residuals
from analysis.fitting.solver import solve
from analysis.fitting.verdict.run_residuals import clipped, f_test
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
"""Number of drawn starts of these fits, besides the parameters of the pooled fit."""


@dataclass(frozen=True)
class Factored(Law):
    """A law with a multiplicative factor for each kind of run: log f + sum_k t_k z_k, with z (k, n) in design."""

    base: Law = field(kw_only=True)
    design: Array = field(kw_only=True)

    def evaluate(self, theta: Array, inputs: Inputs) -> Evaluation:
        """Return log f with first derivatives."""
        p, z = len(self.base.params), self.design
        inner = self.base.evaluate(theta[:p], inputs)
        shift = np.einsum("kb,kn->bn", theta[p:], z)
        return Evaluation(
            inner.h + shift, lambda: [*inner.gradient(), *(np.broadcast_to(row, shift.shape) for row in z)], None
        )

    def box(self) -> tuple[Array, Array]:
        """Return the base law's bounds, extended by wide bounds for the log factors."""
        low, high = self.base.box()
        wide = np.full(len(self.design), 20.0)
        return np.concatenate([low, -wide]), np.concatenate([high, wide])


@dataclass(frozen=True)
class FactorFit:
    """The fit with a factor for each kind: p value of the kinds' difference, and the law's exponents."""

    p_value: float
    exponents: dict[str, float]


def difference_p_value(found: Fit, mixture: Mixture, beside: Sequence[Mixture] = ()) -> float:
    """Return the p value of a difference between a column's kinds, linearly around the fit; 0 where it is untestable.

    The smaller p value of two alternatives: a factor for each kind, and a factor and exponents for each kind. beside:
    columns whose kinds have a factor each in both.
    """
    if mixture.follows in found.engine.points.columns.values():
        return 0.0
    slopes = np.concatenate([found.engine.slopes, *map(design_of, beside)])
    return linear_p_value(found.engine.residuals, slopes, list(found.engine.problem.inputs.values()), mixture)


def linear_p_value(rest: Array, slopes: Array, sizes: Sequence[Array], mixture: Mixture) -> float:
    """Return the p value of `difference_p_value` for any model.

    rest: residuals (n,); slopes: the model's derivatives (p, n); sizes: log inputs (n,) whose exponents may differ by
    kind.
    """
    design = design_of(mixture)
    bent = [design * (x - x.mean()) for x in sizes]
    tests = [added_terms(clipped(rest), slopes, more) for more in (design, np.concatenate([design, *bent]))]
    return min(test[0] if test else 0.0 for test in tests)


def size_dependence(found: Fit, mixture: Mixture) -> tuple[float, float]:
    """Return the p value of exponents of each kind, and the share of the scatter that they explain.

    Linearly around the fit, beside a factor of each kind and a quadratic in the log sizes, which takes up what the law
    misses of all kinds.
    """
    problem, design = found.engine.problem, design_of(mixture)
    sizes = [x - x.mean() for x in problem.inputs.values()]
    smooth = [one * other for one, other in combinations_with_replacement([np.ones(problem.n), *sizes], 2)]
    base = np.concatenate([found.engine.slopes, smooth, design])
    bent = np.concatenate([design * size for size in sizes])
    return added_terms(clipped(found.engine.residuals), base, bent) or (1.0, 0.0)


def added_terms(rest: Array, columns: Array, more: Array) -> tuple[float, float] | None:
    """Return the p value of more columns (m, n) in a regression, and the share of the residual variance they explain.

    None where they depend on the other columns (k, n), or leave too few degrees of freedom.
    """
    before, few = _squares_left(rest, columns)
    after, many = _squares_left(rest, np.concatenate([columns, more]))
    spare = len(rest) - many
    if many == few or spare < 3 or after <= 0:
        return None
    return f_test(before, after, many - few, spare), 1 - after / spare / (before / (len(rest) - few))


def _squares_left(rest: Array, columns: Array) -> tuple[float, int]:
    """Return the residual sum of squares after regressing rest (n,) on columns (k, n), and the rank of the columns."""
    size = np.sqrt((columns**2).sum(axis=1, keepdims=True)) + 1e-300
    weights, _, rank, _ = np.linalg.lstsq((columns / size).T, rest, rcond=1e-10)
    return float(((rest - weights @ (columns / size)) ** 2).sum()), int(rank)


def fit_with_factors(found: Fit, mixture: Mixture) -> FactorFit | None:
    """Refit the law with a factor for each kind; None where kinds and exponents are confounded in the points."""
    problem, theta, weights = found.engine.problem, found.engine.theta, found.engine.points.weights
    law, design = problem.law, design_of(mixture)
    if not is_identified(found, design):
        return None
    factors = tuple(map(str, range(len(design))))
    wider = replace(problem, law=Factored(law.name, law.params + factors, law.inputs, "", "", base=law, design=design))
    starts = _starts(problem, theta, weights)
    best = _optimum(wider, np.concatenate([starts, np.zeros((len(design), starts.shape[1]))]), weights)
    inner = dict(zip(law.params, law.unscale(best[: len(theta)], problem.units).tolist(), strict=True))
    return FactorFit(_p_value(wider, found, best, len(design)), {name: inner[name] for name in law.exponents})


def exponents_of_kinds(found: Fit, mixture: Mixture) -> dict[str, dict[str, tuple[float, float]]]:
    """Fit the law to each kind that has enough points; return its exponents with standard errors."""
    problem, law, own = found.engine.problem, found.engine.problem.law, {}
    for k, value in enumerate(mixture.values[:MOST_LEVELS]):
        here = mixture.code == k
        if here.sum() < MANY * len(found.engine.theta):
            continue
        inputs = {name: x[here] for name, x in problem.inputs.items()}
        part, weights = (
            replace(problem, inputs=inputs, response=problem.response[here]),
            found.engine.points.weights[here],
        )
        theta = _optimum(part, _starts(part, found.engine.theta, weights), weights)
        values = zip(law.unscale(theta, problem.units).tolist(), standard_errors(part, theta).tolist(), strict=True)
        named = dict(zip(law.params, values, strict=True))
        own[value] = {name: named[name] for name in law.exponents}
    return own


def _starts(problem: Problem, theta: Array, weights: Array) -> Array:
    """Return starts (p, k): the parameters theta (p,), and some that are drawn."""
    return np.column_stack([theta, problem.starts(weights, STARTS, np.random.default_rng(0))])


def _optimum(problem: Problem, starts: Array, weights: Array) -> Array:
    """Return the best parameters (p,) that are found from starts (p, k)."""
    solution = solve(problem, starts, weights=weights)
    return solution.theta[:, int(np.argmin(solution.value))]


def design_of(mixture: Mixture) -> Array:
    """Return the design columns (k, n) of the kinds: dummy variables, or a parabola in the logarithm of a setting."""
    if mixture.numbers is not None and is_smooth(mixture):
        logs = np.log(mixture.numbers)
        unit = (logs - logs.mean()) / max(float(logs.std()), 1e-12)
        return np.stack([unit, unit**2 - (unit**2).mean()])
    return (mixture.code[None, :] == np.arange(1, len(mixture.values))[:, None]).astype(float)


def is_smooth(mixture: Mixture) -> bool:
    """Tell whether a numeric setting has so many values that it is modelled by a parabola in its logarithm."""
    return mixture.numbers is not None and len(mixture.values) > MOST_LEVELS


def is_identified(found: Fit, design: Array) -> bool:
    """Tell whether the points identify the effects of kinds (k, n) separately from the law's exponents."""
    law = found.engine.problem.law
    spare = found.n_points - len(found.engine.theta) - len(design)
    which = [law.params.index(name) for name in law.exponents]
    return spare >= 3 and _identified(found.engine.slopes, design, which)


def _identified(slopes: Array, design: Array, which: list[int]) -> bool:
    """Tell whether each of these parameters keeps a share IDENTIFIED of its information when the design is added."""
    for i in which:
        others = np.delete(slopes, i, axis=0)
        beside = np.concatenate([others, design])
        if _outside(slopes[i], beside) < IDENTIFIED * _outside(slopes[i], others):
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
    return f_test(was, left, more, spare)


def standard_errors(problem: Problem, theta: Array) -> Array:
    """Return standard errors of the parameters (p,) at theta, for least absolute deviation under normal noise."""
    slopes = jacobian(problem, theta)
    gram = np.einsum("in,jn->ij", slopes, slopes)
    scale = 1.4826 * float(np.median(np.abs(residuals(problem, theta[:, None])[0])))
    freedom = problem.n / max(1, problem.n - len(theta))
    return np.sqrt(np.pi / 2 * freedom * np.diag(np.linalg.pinv(gram))) * scale
