"""Fit a law to a table: many starts, refits as one batch, a certificate, a refusal where the data cannot say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from analysis.allocation import Allocation
from analysis.certificate import Certificate, judge
from analysis.errors import Refusal, UserError
from analysis.intervals import bca, check_interval, percentile
from analysis.laws import Law, get_law
from analysis.laws.base import Array
from analysis.objective import Objective
from analysis.points import Points, Selection, read_points
from analysis.resample import check_resample, jackknife, refit
from analysis.result import Engine, Fit, Minimised
from analysis.solver import Problem, residuals, solve

if TYPE_CHECKING:
    import pandas as pd

MANY = 4_000
"""Above this many points the starts are run on an even choice of so many, and only where they end on all points."""


def fit(
    table: pd.DataFrame | str | Path,
    law: str | Law = "chinchilla",
    *,
    y: str = "loss",
    x: str | None = None,
    objective: Literal["huber", "lad", "lsq"] = "huber",
    delta: float = 1e-3,
    space: Literal["log", "raw"] = "log",
    resamples: int = 1000,
    resample: Literal["runs", "points", "seed", "wild"] = "runs",
    interval: Literal["percentile", "bca"] = "percentile",
    level: float = 0.95,
    seed: int = 0,
    starts: int | None = None,
    rows: Literal["final", "all"] = "final",
    where: str | None = None,
    pool: tuple[str, ...] = (),
    keep: tuple[str, ...] = (),
    task: str | None = None,
) -> Fit:
    """Fit a law to the rows of a table (or of the file or results folder of that name).

    `x` names the variable of a one-variable law (C where there is one). `rows`, `where`, `pool`, `keep` and `task`
    choose the rows. The default objective is that of Hoffmann et al. 2022: the sum over points of a Huber loss (1e-3)
    on log y.

    Raises `UserError` for bad input and `Refusal` where the data cannot carry the law.
    """
    goal = Objective(objective, delta, space)
    chosen = get_law(law)
    check_interval(interval, level)
    check_resample(resample)
    starts = chosen.default_starts if starts is None else starts
    if resamples < 0 or starts < 1:
        raise UserError(f"found resamples={resamples}, starts={starts}; wanted resamples >= 0 and starts >= 1")
    from analysis.table import load_table

    selection = Selection(rows, where, tuple(pool), tuple(keep), task)
    points = read_points(load_table(table), chosen, y=y, x=x, space=space, selection=selection)
    problem = pose(points, chosen, goal)
    certificate, found = search(problem, points, starts=starts, seed=seed)
    theta = found[0]
    samples, unsettled = None, 0.0
    if resamples:
        drawn = refit(problem, points, np.stack(found, axis=1), count=resamples, resample=resample, seed=seed)
        samples, unsettled = drawn.theta, 1 - drawn.settled
    spent = Spent(problem, points, theta, samples, resample, interval, level)
    params = dict(zip(chosen.params, chosen.unscale(theta, problem.units).tolist(), strict=True))
    rest = residuals(problem, theta[:, None])[0]
    value = float(goal.value(rest, points.weights)) * value_scale(problem)
    return Fit(
        law=chosen.name,
        y=y,
        params=params,
        intervals=spent.intervals(),
        level=level,
        objective=Minimised(goal.name, goal.space, goal.delta, value),
        n_points=points.n,
        n_runs=points.n_runs,
        certificate=certificate,
        allocation=spent.allocation(),
        warnings=warnings(points, params, certificate, unsettled, resamples),
        card={
            "law": chosen.name,
            "formula": chosen.formula,
            "source": chosen.source,
            "columns": points.columns,
            "left_out": list(points.left_out),
            "data_hash": points.data_hash,
            "starts": starts,
            "seed": seed,
            "resamples": resamples,
            "resample": resample,
            "interval": interval,
        },
        engine=Engine(problem, points, theta, samples, rest),
    )


def pose(points: Points, law: Law, goal: Objective) -> Problem:
    """Make points scale-free: inputs over their geometric means, y over its median, delta with it."""
    units = points.units(law.centred_with)
    law = law.bind(units)
    inputs = {name: np.log(values) - units.log_inputs[name] for name, values in points.inputs.items()}
    if goal.space == "log":
        return Problem(law, inputs, np.log(points.y) - units.log_y, goal, units)
    scale = np.exp(units.log_y)
    return Problem(law, inputs, points.y / scale, Objective(goal.name, goal.delta / scale, "raw"), units)


def value_scale(problem: Problem) -> float:
    """Return what the inner objective is multiplied by in the user's units."""
    if problem.objective.space == "log":
        return 1.0
    return float(np.exp(problem.units.log_y * (1 if problem.objective.name == "lad" else 2)))


def search(problem: Problem, points: Points, *, starts: int, seed: int) -> tuple[Certificate, list[Array]]:
    """Solve from many starts and judge where they end: the certificate, the best parameters and its rivals'."""
    rng = np.random.default_rng(seed)
    few, weights = problem, points.weights
    if problem.n > MANY:
        pick = np.linspace(0, problem.n - 1, MANY).astype(int)
        inputs = {name: x[pick] for name, x in problem.inputs.items()}
        few = Problem(problem.law, inputs, problem.response[pick], problem.objective, problem.units)
        weights = weights[pick]
    log_y = few.response if problem.objective.space == "log" else np.log(np.maximum(few.response, 1e-3))
    begin = problem.law.starts(few.inputs, log_y, weights, starts, rng)
    solution = solve(few, begin, weights=weights)
    if not np.isfinite(solution.value).any():
        raise Refusal(f"no start of the law {problem.law.name} gives a finite objective on these {problem.n} points")
    certificate, found = judge(few, solution, weights)
    _refuse_bounds(problem, certificate)
    if few is not problem:
        polished = solve(problem, np.stack(found, axis=1), weights=points.weights)
        order = np.argsort(polished.value)
        found = [polished.theta[:, k] for k in order]
    return certificate, found


def _refuse_bounds(problem: Problem, certificate: Certificate) -> None:
    """Refuse where the best place, found by all starts, is the edge of what an exponent or a coefficient may be."""
    stuck = [name for name in certificate.at_bound if problem.law.bounds[name].vital]
    if stuck and certificate.share_at_best > 0.5:
        raise Refusal(
            f"the data do not determine {' and '.join(stuck)} of the law {problem.law.name}: every good fit puts it "
            "at the edge of what is allowed; take a law with fewer parameters, or add runs over a wider range"
        )


class Spent:
    """Intervals and allocation of a finished fit."""

    def __init__(
        self,
        problem: Problem,
        points: Points,
        theta: Array,
        samples: Array | None,
        resample: str,
        interval: str,
        level: float,
    ) -> None:
        self.problem, self.points, self.theta, self.samples = problem, points, theta, samples
        self.level = level
        self.jackknifed = (
            jackknife(problem, points, theta[:, None], resample) if interval == "bca" and samples is not None else None
        )

    def intervals(self) -> dict[str, tuple[float, float]]:
        """Return the interval of each parameter; none without resamples."""
        if self.samples is None:
            return {}
        ends = self._ends(lambda theta: self.problem.law.unscale(theta, self.problem.units))
        return {
            name: (float(low), float(high)) for name, (low, high) in zip(self.problem.law.params, ends, strict=True)
        }

    def allocation(self) -> Allocation | None:
        """Return how N and D grow with C, for laws that say."""
        exponent = self._n_exponent(self.theta[:, None])
        if exponent is None:
            return None
        a = float(exponent[0, 0])
        ends = None
        if self.samples is not None:
            low, high = self._ends(self._n_exponent)[0]
            ends = (float(low), float(high))
        return Allocation(a, 1 - a, ends, self.points.flops_per_nd)

    def _n_exponent(self, theta: Array) -> Array | None:
        law = self.problem.law
        split = law.tradeoff(dict(zip(law.params, law.unscale(theta, self.problem.units), strict=True)))
        if split is None:
            return None
        _, _, alpha, beta = split
        with np.errstate(all="ignore"):
            return np.atleast_2d(beta / (alpha + beta))

    def _ends(self, of: Callable[[Array], Any]) -> Array:
        assert self.samples is not None
        samples = of(self.samples)
        if self.jackknifed is None:
            return percentile(samples, self.level)
        return bca(samples, of(self.theta[:, None])[:, 0], of(self.jackknifed), self.level)


def warnings(
    points: Points, params: dict[str, float], certificate: Certificate, unsettled: float, resamples: int
) -> tuple[str, ...]:
    """Say in sentences what a reader of the numbers should know."""
    said = [f"weak fit: {reason}" for reason in certificate.reasons]
    E = params.get("E")
    if E is not None and 1e-6 * points.y.min() >= E:
        said.append("E is zero: the data show no floor; a law without E says the same with one parameter less")
    elif E is not None and points.y.min() < E:
        said.append(f"E ({E:.4g}) lies above the smallest response seen ({points.y.min():.4g}): it is no floor")
    if E is not None and np.isfinite(points.y_se):
        said.append(
            f"the test set's own sampling error ({points.y_se:.2g}) is common to all runs; E is known no better"
        )
    if resamples and points.n_runs < 10:
        said.append(f"intervals from {points.n_runs} runs are too narrow as a rule")
    if unsettled > 0.01:
        said.append(f"{unsettled:.1%} of the refits did not settle")
    return tuple(said)
