"""Fit one law to a table or to given points from many starts, with certificate, refits and warnings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.errors import Refusal, UserError
from analysis.fitting.card import write_card
from analysis.fitting.certificate import (
    LEVEL,
    Certificate,
    certify,
    may_be_zero,
    weaken_by_refits,
    weakened,
)
from analysis.fitting.objective import Engine, Objective, Problem, not_told_apart, residuals, without_effect
from analysis.fitting.points import Points, read_points
from analysis.fitting.resample import Samples, refit, resamples_differ
from analysis.fitting.result import Fit, Minimised
from analysis.fitting.seeds import lack_of_fit, weights_from_seeds
from analysis.fitting.settings import SearchSettings, Settings
from analysis.fitting.solver import solve
from analysis.fitting.uncertainty import Uncertainty
from analysis.laws import Law
from analysis.laws.base import Array
from analysis.numbers import measured, number, percent
from analysis.table.remarks import left_out_words
from analysis.wording import counted, listed

if TYPE_CHECKING:
    import pandas as pd

MANY = 4_000
"""Above this many points, starts are solved on an even subset of this size, and the optima refined on all points."""


INNER = ("most_refitted", "majority", "kept", "begin", "steps")
"""Fields of `SearchSettings` that only inner fits use; a fit's card leaves them out."""
MOST_FAILED = 0.5
"""Share of refits that did not converge above which no interval is given."""


def fit_law(frame: pd.DataFrame, law: Law, settings: Settings) -> Fit:
    """Fit one law to the rows of a table. Raises `UserError` and `Refusal` as `fit` does."""
    y, space = settings.y, settings.objective.space
    points = read_points(frame, law, y=y, x=settings.x, space=space, selection=settings.selection)
    if settings.weights == "seeds":
        points = replace(points, weights=weights_from_seeds(points, np.log(points.y) if space == "log" else points.y))
    elif settings.weights is not None:
        raise UserError(f"found weights={settings.weights!r}; wanted 'seeds' or none")
    return fit_points(points, law, settings)


@np.errstate(all="ignore")
def fit_points(points: Points, law: Law, settings: Settings) -> Fit:
    """Fit a law to points. Overflows in the search count as an infinite objective."""
    objective, search = settings.objective, settings.search
    problem = _scaled_problem(points, law, objective)
    starts = law.default_starts if search.starts is None else search.starts
    certificate, found = _search(problem, points, search, starts)
    theta = found[0]
    idle = without_effect(problem, theta)
    if len(idle) == len(theta):
        raise Refusal(
            f"no parameter of the law {law.name} has an effect on these runs; take another law, or other runs"
        )
    refits = _refits(problem, points, found, search)
    failed = None if refits is None else 1 - refits.converged
    settled = refits is not None and refits.converged >= 1 - MOST_FAILED
    alike = not_told_apart(problem, theta)
    samples = refits.theta if refits is not None and settled and not alike else None
    rest = residuals(problem, theta[:, None])[0]
    engine = Engine(problem, points, theta, samples, rest)
    spread = Uncertainty(engine, search)
    ends, forecast = spread.inner(LEVEL), spread.forecast_interval(LEVEL)
    certificate = weaken_by_refits(certificate, engine, ends=ends, forecast=forecast)
    if samples is None and search.resamples:
        certificate = weakened(certificate, [_no_interval(failed, alike)])
    params = law.complete({name: float(value) for name, value in problem.params(theta).items()})
    value = _objective_value(problem, rest, points.weights)
    floor = params["E"] if law.floor else None
    remarks = _warnings(points, floor, certificate, failed) + _few_refits(search)
    remarks += _no_floor(problem, spread.inner(search.level), spread.intervals())
    if refits is not None and not refits.refitted:
        remarks = (f"{points.n} rows: intervals from the sandwich formula, not from refits", *remarks)
    return Fit(
        law=law.name,
        y=settings.y,
        params=params,
        intervals={name: ends for name, ends in spread.intervals().items() if name not in idle},
        level=search.level,
        objective=Minimised(objective.name, objective.space, objective.delta, value),
        n_points=points.n,
        n_runs=points.n_runs,
        certificate=certificate,
        allocation=spread.allocation(),
        lack_of_fit=lack_of_fit(points, rest, len(theta)),
        warnings=remarks,
        card=write_card(points, law, _options(search, points, starts)),
        engine=engine,
    )


def _refits(problem: Problem, points: Points, found: Sequence[Array], search: SearchSettings) -> Samples | None:
    """Refit to resamples, starting from the optima found; None if none were asked for, or they could not differ."""
    if not search.resamples or not resamples_differ(points, search.resample):
        return None
    return refit(
        problem,
        points,
        np.stack(found, axis=1),
        count=search.resamples,
        resample=search.resample,
        seed=search.seed,
        most=search.most_refitted,
    )


def _no_interval(failed: float | None, alike: Sequence[str]) -> str:
    """Return why a fit has no interval.

    failed: share of refits that did not converge, None where there are none. alike: parameters not told apart.
    """
    if alike:
        return (
            f"no interval: these runs do not tell {listed(alike)} apart, and many values fit equally well; add other "
            "values of an input, or fix one of them (--fix)"
        )
    if failed is None:
        return "no interval: all points are of one or two runs, which do not show how runs differ; add runs"
    return f"no interval: {percent(failed)} of the refits did not converge; take a law with fewer parameters"


def _options(search: SearchSettings, points: Points, starts: int) -> dict[str, Any]:
    """Return the options of a fit for its card."""
    options = {name: value for name, value in vars(search).items() if name not in INNER}
    return options | {"starts": starts, "weighted": bool(np.ptp(points.weights)), "tried": {}}


def _scaled_problem(points: Points, law: Law, objective: Objective) -> Problem:
    """Scale the points: inputs by their geometric means, y and delta by the median of y."""
    units = points.units(law.centred_with)
    law = law.bind(units)
    inputs = {name: np.log(values) - units.log_inputs[name] for name, values in points.inputs.items()}
    if objective.space == "log":
        return Problem(law, inputs, np.log(points.y) - units.log_y, objective, units)
    scale = np.exp(units.log_y)
    return Problem(law, inputs, points.y / scale, Objective(objective.name, objective.delta / scale, "raw"), units)


def _objective_value(problem: Problem, rest: Array, weights: Array) -> float:
    """Return the objective in the user's units."""
    value = float(problem.objective.value(rest, weights))
    if problem.objective.space == "log":
        return value
    return value * float(np.exp(problem.units.log_y * (1 if problem.objective.name == "lad" else 2)))


def _search(problem: Problem, points: Points, search: SearchSettings, starts: int) -> tuple[Certificate, list[Array]]:
    """Solve from that many starts; return the certificate, the best parameters and those of rival optima."""
    rng, few, weights = np.random.default_rng(search.seed), problem, points.weights
    if problem.n > MANY:
        pick = np.linspace(0, problem.n - 1, MANY).astype(int)
        inputs = {name: x[pick] for name, x in problem.inputs.items()}
        few = replace(problem, inputs=inputs, response=problem.response[pick])
        weights = weights[pick]
    begin = search.begin if search.begin is not None else few.starts(weights, starts, rng)
    if search.kept is not None and begin.shape[1] > search.kept:
        begin = _lowest(few, begin, weights, search.kept)
    solution = solve(few, begin, weights=weights, majority=search.majority, steps=search.steps)
    if not np.isfinite(solution.value).any():
        constrained = ", ".join(problem.law.constraint_words)
        raise Refusal(
            f"no start of the law {problem.law.name} gives a finite objective on these {problem.n} points"
            + (f" with {constrained}; leave it free, or give a value nearer to a fit without it" if constrained else "")
        )
    certificate, found = certify(few, solution, weights)
    _refuse_bounds(problem, certificate, points)
    if few is not problem:
        polished = solve(problem, np.stack(found, axis=1), weights=points.weights, anneal=False)
        order = np.argsort(polished.value)
        found = [polished.theta[:, k] for k in order]
        norm, per = float(polished.gradient_norm[order[0]]), problem.n / len(problem.law.params)
        certificate = replace(certificate, gradient_norm=norm, points_per_parameter=per)
    return certificate, found


def _lowest(problem: Problem, starts: Array, weights: Array, kept: int) -> Array:
    """Return the `kept` starts of (p, B) with the smallest weighted absolute residuals."""
    far = (weights * np.abs(residuals(problem, starts))).sum(axis=1)
    return starts[:, np.argsort(np.where(np.isfinite(far), far, np.inf), kind="stable")[:kept]]


def _refuse_bounds(problem: Problem, certificate: Certificate, points: Points) -> None:
    """Raise `Refusal` where all starts end with an exponent or a coefficient at its bound."""
    stuck = [name for name in certificate.at_bound if problem.law.bounds[name].vital]
    if stuck and certificate.share_at_best > 0.5:
        size = np.sum([np.argsort(np.argsort(x)) for x in points.inputs.values()], axis=0)
        if np.corrcoef(size, np.argsort(np.argsort(points.y)))[0, 1] > 0.5:
            raise Refusal(
                f"the response rises with {' and '.join(points.columns.values())}, and the law {problem.law.name} "
                'falls; convert an accuracy with --derive "error = 1 - accuracy" --y error'
            )
        raise Refusal(
            f"the data do not determine {' and '.join(stuck)} of the law {problem.law.name}: every good fit puts it "
            "at the edge of its range; take a law with fewer parameters, or add runs over a wider range"
        )


def _no_floor(problem: Problem, ends: Array | None, intervals: Mapping[str, tuple[float, float]]) -> tuple[str, ...]:
    """Return a sentence for each parameter whose interval includes zero. ends: intervals of the inner vector."""
    return tuple(
        f"{name} may be zero, and is at most {measured(intervals[name][1])}: {problem.law.bounds[name].at_low}"
        for name in (() if ends is None else may_be_zero(problem, ends))
    )


def _few_refits(search: SearchSettings) -> tuple[str, ...]:
    """Return a sentence where there are too few refits to leave one out at each end of an interval."""
    wanted = round(2 / (1 - search.level))
    if not 0 < search.resamples < wanted:
        return ()
    few = counted(search.resamples, "refit")
    return (f"intervals from {few} are too narrow: {percent(search.level)} wants {wanted} or more (--resamples)",)


def _warnings(points: Points, E: float | None, certificate: Certificate, failed: float | None) -> tuple[str, ...]:
    """Return the fit's warnings. E: the irreducible loss, None for a law without one."""
    found = [left_out_words(points.left_out)] if points.left_out else []
    found += [*(f"weak fit: {reason}" for reason in certificate.reasons), *points.remarks]
    if E is not None and points.y.min() < E:
        found.append(
            f"E ({measured(E)}) lies above the smallest response ({measured(points.y.min())}), so it is no floor"
        )
    if E is not None and np.isfinite(points.y_se):
        found.append(
            f"all runs share the test set's sampling error ({number(points.y_se, 2)}); E is known no better than that"
        )
    if failed is not None and points.n_runs < 10:
        found.append(f"intervals from {counted(points.n_runs, 'run')} are usually too narrow")
    if failed is not None and 0.01 < failed <= MOST_FAILED:
        found.append(f"{percent(failed)} of the refits did not converge")
    return tuple(found)
