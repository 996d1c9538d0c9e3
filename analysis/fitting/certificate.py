"""The certificate of a fit: whether its starts agree, whether it is an optimum, which parameters are unidentified."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from analysis.fitting.display.in_notebook import InNotebook
from analysis.fitting.objective import Engine, Problem, jacobian, without_effect
from analysis.fitting.solver import Solution
from analysis.laws.base import Array, Bound, Inputs
from analysis.numbers import measured, number, percent, times
from analysis.wording import counted

SAME_VALUE, SAME_CURVE = 1e-6, 1e-4
"""Starts end at one optimum where objectives differ by less than the first share, or curves by less than the second."""
RIVAL = 0.01
"""An optimum whose objective is within 1 % of the best is a rival: the data hardly distinguish them."""

NEAR = 0.1
"""Log difference of a rival's forecast up to which it is not reported if it lies inside the refits' interval."""
LEVEL = 0.95
"""Level of the intervals on which a certificate is based, whatever level is requested."""
KNOWN = 10.0
"""Ratio of the ends of an exponent's interval above which the exponent counts as unidentified."""


@dataclass(frozen=True)
class Basin:
    """One optimum: the share of starts that reached it, its objective, parameters and forecast at 10 x the inputs."""

    share: float
    value: float
    params: dict[str, float]
    forecast: float


@dataclass(frozen=True, repr=False)
class Certificate(InNotebook):
    """How far a fit can be trusted, with reasons (a refusal is an error and has no certificate).

    supported: the extrapolation factor (size over the largest fitted size) at which the law's hold-out passed; None
    where no hold-out passed.
    """

    status: Literal["ok", "weak"]
    reasons: tuple[str, ...]
    starts: int
    share_at_best: float
    basins: int
    at_bound: tuple[str, ...]
    gradient_norm: float
    condition: float
    points_per_parameter: float
    trade_off: tuple[str, ...]
    next_run: dict[str, float]
    found: tuple[Basin, ...]
    supported: float | None = None

    @property
    def backtest(self) -> str:
        """Say how far beyond the fitted sizes the law's hold-out supports extrapolation, or that none does."""
        if self.supported is None:
            return "no hold-out supports extrapolation"
        return f"hold-out passed at {times(self.supported)} the fitted sizes"

    @property
    def no_interval(self) -> str:
        """Say why there are no intervals; empty where none were asked for, or there are some."""
        return next((reason for reason in self.reasons if reason.startswith("no interval")), "")


def basins(problem: Problem, solution: Solution) -> list[Array]:
    """Group the starts by the optimum they reached (same curve over the data), best first; at most 20 groups."""
    order = np.argsort(solution.value, kind="stable")
    order = order[np.isfinite(solution.value[order])]
    with np.errstate(all="ignore"):
        curves = problem.law.evaluate(solution.theta[:, order], problem.inputs).h
    groups: list[Array] = []
    free = np.ones(len(order), dtype=bool)
    while free.any() and len(groups) < 20:
        first = int(np.argmax(free))
        near = free & (np.abs(curves - curves[first]).max(axis=1) < SAME_CURVE)
        best = solution.value[order[first]]
        near |= free & (solution.value[order] <= best * (1 + SAME_VALUE) + 1e-300)
        near[first] = True
        groups.append(order[near])
        free &= ~near
    return groups


def at_bound(problem: Problem, theta: Array) -> tuple[str, ...]:
    """Name the parameters in theta (p,) that are at a bound."""
    low, high = problem.law.box()
    edge = (theta <= low + 1e-9 * (high - low)) | (theta >= high - 1e-9 * (high - low))
    return tuple(name for name, here in zip(problem.law.params, edge, strict=True) if here)


def _identifiability(problem: Problem, theta: Array, weights: Array) -> tuple[float, tuple[str, ...], dict[str, float]]:
    """Return the condition number of the column-scaled Jacobian, the parameters that trade off, and the next run.

    The next run is the setting, up to 10 x beyond the data, where the forecast is least certain (see `_next_run`).
    """
    slopes = jacobian(problem, theta) * np.sqrt(weights)
    size = np.linalg.norm(slopes, axis=1)
    live = size > 0
    if live.sum() < 2:
        return 1.0, (), {}
    vectors, strength, _ = np.linalg.svd(slopes[live] / size[live][:, None], full_matrices=False)
    told = strength[-1] > len(strength) * np.finfo(float).eps * strength[0]  # below, it is rounding
    condition = float(strength[0] / strength[-1]) if told else float("inf")
    names = np.array(problem.law.params)[live]
    weak = np.abs(vectors[:, -1])
    trade = tuple(str(name) for name in names[weak > 0.3]) if condition > 30 else ()
    return (
        condition,
        trade,
        _next_run(problem, theta, vectors @ np.diag(1 / np.maximum(strength**2, 1e-12)) @ vectors.T, size, live),
    )


def _next_run(problem: Problem, theta: Array, inverse: Array, size: Array, live: Array) -> dict[str, float]:
    """Return the centred log inputs with the largest forecast variance on a grid from the data to 10 x beyond."""
    names = list(problem.inputs)
    axes = [np.linspace(x.min(), x.max() + np.log(10), 9) for x in problem.inputs.values()]
    grid = [axis.ravel() for axis in np.meshgrid(*axes, indexing="ij")]
    settings: Inputs = dict(zip(names, grid, strict=True))
    with np.errstate(all="ignore"):
        slopes = problem.law.evaluate(theta[:, None], settings).slopes()
    scaled = slopes[live] / size[live][:, None]
    variance = np.einsum("in,ij,jn->n", scaled, inverse, scaled)
    best = int(np.argmax(np.where(np.isfinite(variance), variance, -1)))
    return {name: float(values[best]) for name, values in settings.items()}


def certify(problem: Problem, solution: Solution, weights: Array) -> tuple[Certificate, list[Array]]:
    """Return the certificate, and the parameters of the best optimum and its rivals."""
    groups = basins(problem, solution)
    best = groups[0][0]
    theta, value = solution.theta[:, best], float(solution.value[best])
    condition, trade, run = _identifiability(problem, theta, weights)
    found = [_basin(problem, solution, group) for group in groups]
    certificate = Certificate(
        status="ok",
        reasons=(),
        starts=len(solution.value),
        share_at_best=found[0].share,
        basins=len(groups),
        at_bound=at_bound(problem, theta),
        gradient_norm=float(solution.gradient_norm[best]),
        condition=condition,
        points_per_parameter=problem.n / len(theta),
        trade_off=trade,
        next_run={name: float(np.exp(x + problem.units.log_inputs[name])) for name, x in run.items()},
        found=tuple(found[:5]),
    )
    reasons = _reasons(problem, theta, certificate, converged=bool(solution.converged[best]))
    idle = [f"{name} has no effect on these runs: any value fits" for name in without_effect(problem, theta)]
    certificate = weakened(certificate, (*reasons, *problem.law.unseen(theta, problem.inputs), *idle))
    # A start that did not converge is still descending; it is not an optimum of its own.
    others = [group[0] for group in groups[1:] if solution.converged[group[0]]][:3]
    rivals = [solution.theta[:, k] for k in others if solution.value[k] <= value * (1 + RIVAL) + 1e-300]
    return certificate, [theta, *rivals]


def _basin(problem: Problem, solution: Solution, group: Array) -> Basin:
    law, units, first = problem.law, problem.units, group[:1]
    far = {name: np.array([x.max() + np.log(10)]) for name, x in problem.inputs.items()}
    params = dict(zip(law.params, law.unscale(solution.theta[:, first[0]], units).tolist(), strict=True))
    with np.errstate(all="ignore"):
        forecast = float(np.exp(law.evaluate(solution.theta[:, first], far).h[0, 0] + units.log_y))
    return Basin(len(group) / len(solution.value), float(solution.value[first[0]]), params, forecast)


def weakened(certificate: Certificate, reasons: Iterable[str]) -> Certificate:
    """Return the certificate with more reasons that make the fit weak; unchanged if there are none."""
    more = tuple(reasons)
    return replace(certificate, status="weak", reasons=(*certificate.reasons, *more)) if more else certificate


def _reasons(problem: Problem, theta: Array, certificate: Certificate, *, converged: bool) -> list[str]:
    reasons, per = [], certificate.points_per_parameter
    for name in certificate.at_bound:
        bound, here = problem.law.bounds[name], float(theta[problem.law.params.index(name)])
        meaning = bound.at_low if here < (bound.low + bound.high) / 2 else ""
        if not _at_zero(bound, here):  # a zero is judged from the refits, by `_vanished`
            reasons.append(f"{name} is zero: {meaning}" if meaning else f"{name} is at the edge of its range")
    if not converged:
        reasons.append("the solver did not converge within its steps")
    if certificate.share_at_best < 0.05:
        reasons.append(f"only {percent(certificate.share_at_best)} of the starts reach the best optimum")
    if per < 3:
        more = 3 * len(theta) - problem.n
        reasons.append(
            f"{number(per, 2)} points per parameter, fewer than 3; add {counted(more, 'point')}, or take a law with "
            "fewer parameters"
        )
    if certificate.condition > 1e4:
        names, condition = ", ".join(certificate.trade_off), number(certificate.condition, 2)
        reasons.append(f"{names} trade off against each other (condition {condition})")
    return reasons


def weaken_by_refits(
    certificate: Certificate, engine: Engine, *, ends: Array | None, forecast: tuple[float, float] | None
) -> Certificate:
    """Weaken the certificate where refits leave a parameter unidentified or a rival optimum forecasts another value.

    ends: intervals (p, 2) of the inner vector theta (p,); forecast: forecast interval at 10 x the inputs; both None
    without refits.
    """
    columns = engine.points.columns
    reasons = [*_vanished(engine.problem, engine.theta, ends), *_rival(certificate, forecast)]
    if ends is not None and (unknown := _unidentified(engine.problem, ends, known=certificate.at_bound)):
        where = ", ".join(f"{columns[name]} = {number(value, 3)}" for name, value in certificate.next_run.items())
        reasons += [*unknown[:-1], f"{unknown[-1]}; a run at {where} would help most" if where else unknown[-1]]
    return weakened(certificate, reasons)


def may_be_zero(problem: Problem, ends: Array) -> tuple[str, ...]:
    """Name the parameters whose interval includes zero, where zero is an allowed value."""
    at_low, at_high = at_bound(problem, ends[:, 0]), at_bound(problem, ends[:, 1])
    return tuple(name for name in at_low if problem.law.bounds[name].may_vanish and name not in at_high)


def _vanished(problem: Problem, theta: Array, ends: Array | None) -> list[str]:
    """Return a sentence for each parameter held at zero by its bound (in nearly all refits, if there are any)."""
    law, known = problem.law, () if ends is None else may_be_zero(problem, ends)
    there = "" if ends is None else " here and in nearly every refit: the points fall faster than the law, or"
    return [
        f"{name} is zero{there or ':'} {law.bounds[name].at_low}"
        for name in at_bound(problem, theta)
        if name not in known and _at_zero(law.bounds[name], float(theta[law.params.index(name)]))
    ]


def _at_zero(bound: Bound, value: float) -> bool:
    """Tell whether a parameter at a bound is at zero, and zero is an allowed value."""
    return bound.may_vanish and value < (bound.low + bound.high) / 2


def _rival(certificate: Certificate, forecast: tuple[float, float] | None) -> list[str]:
    """Report another optimum that fits as well but forecasts differently.

    forecast: interval of the forecast, inside which a wider gap is tolerated.
    """
    best, *others = certificate.found
    for other in [one for one in others if one.value <= best.value * (1 + RIVAL)][:1]:
        apart = abs(np.log(other.forecast / best.forecast))
        allowed = forecast is not None and forecast[0] <= other.forecast <= forecast[1]
        if apart > (NEAR if allowed else RIVAL):
            return [
                f"another optimum fits within {percent(RIVAL)} as well, but forecasts {measured(other.forecast)} at "
                f"10 times the inputs, where the best optimum forecasts {measured(best.forecast)}"
            ]
    return []


def _unidentified(problem: Problem, ends: Array, *, known: tuple[str, ...]) -> list[str]:
    """Report parameters whose interval reaches a bound, and exponents whose interval spans more than a factor KNOWN."""
    at_low, at_high = at_bound(problem, ends[:, 0]), at_bound(problem, ends[:, 1])
    unknown = {}
    for name, (low, high) in zip(problem.law.params, ends.tolist(), strict=True):
        bound = problem.law.bounds[name]
        if name in at_low and bound.may_vanish and name not in at_high:
            continue
        if name in at_low and bound.at_low:
            unknown[name] = f"reaches zero, where {bound.at_low}"
        elif name in at_low or name in at_high:
            unknown[name] = "reaches the edge of its range"
        elif bound.by_factor and low * high <= 0:
            unknown[name] = "contains zero"
        elif bound.by_factor and (factor := max(high / low, low / high)) > KNOWN:
            unknown[name] = f"spans a factor of {number(factor, 3)}"
    return [f"{name} is not identified: its interval {reason}" for name, reason in unknown.items() if name not in known]
