"""Choose the next runs: those that narrow the interval at a target most for their cost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from analysis.errors import Refusal, attempt
from analysis.estimates.suggest.design import COST_POWER, LEAST, Design, choose, power_for
from analysis.estimates.suggest.law_posterior import Posterior, posterior_of
from analysis.estimates.suggest.prices import Prices, prices_of
from analysis.estimates.suggest.request import Request, check_request, column_of, costs_of, other_units, rows_of
from analysis.estimates.suggest.space_filling import fill, nowhere_new
from analysis.fitting.display.in_notebook import InNotebook
from analysis.fitting.engine import fit_law
from analysis.fitting.holdout import rows_by_size, score_laws
from analysis.fitting.points import input_columns
from analysis.fitting.resample import refit
from analysis.fitting.result import Fit
from analysis.fitting.settings import settings_of
from analysis.laws import Law, constrained_each, constraints, get_law
from analysis.numbers import number, percent

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

STARTS = 8
"""Starts of each fit; few, as a round is one of many and should take seconds."""
CAUTION, ENOUGH = 0.25, 3.0
"""Maximum share of the limit spent by one round while there are fewer than this many runs per parameter: a poorly
identified law is overconfident, and its suggestions change with the next few runs."""
RIVALS = 4
"""Number of refits used as additional views of such a law."""


class RunForecast(NamedTuple):
    """The forecast of one run's response, with its prediction interval at the level."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, repr=False)
class Suggestion(InNotebook):
    """The next runs. rows: index labels of the pool, best first; empty if no run helps, with the reason.

    kind: law; or space, if there are too few runs for a law: then the rows are space-filling, without forecasts and
    intervals (None). interval_…: half-widths of the interval (at `level`) of the log quantity, root mean square over
    targets; after: the expected one after each row and those before it. next_gain: the share by which one more run
    would narrow it; next_cost: its cost (None: no candidate is left). forecasts: of each row's response, before it is
    run.
    """

    rows: tuple[Any, ...]
    cost: float
    interval_now: float | None
    interval_after: float | None
    after: tuple[float, ...]
    costs: tuple[float, ...]
    of: str
    level: float
    laws: dict[str, float]
    reason: str = ""
    forecasts: tuple[RunForecast, ...] = ()
    next_gain: float | None = None
    next_cost: float | None = None
    warnings: tuple[str, ...] = ()
    kind: Literal["law", "space"] = "law"


def suggest(
    table: pd.DataFrame | str | Path,
    law: str | Law | Sequence[str | Law] = "chinchilla",
    *,
    pool: pd.DataFrame,
    target: pd.DataFrame | Mapping[str, float | Sequence[float]],
    limit: float,
    cost: str = "cost",
    y: str = "loss",
    of: str | None = None,
    most: int = 4,
    seed: int = 0,
    fix: Mapping[str, float] | None = None,
    tie: Mapping[str, str] | None = None,
    **options: Any,
) -> Suggestion:
    """Choose from a pool the runs that narrow the interval at the target most for their cost.

    table: the finished runs. law: one, or several, weighted by their backtests. pool: the candidates, with the law's
    inputs and a column of costs; a setting that occurs twice may be run twice, as two seeds. target: the settings at
    which the law should be known. of: the quantity to know there: y, N_star or N_exponent (target C), or a parameter.
    limit: the total cost; most: the maximum number of runs. fix, tie: constraints on the laws that have these
    parameters. options: objective, delta, x, level and those of `fit` that choose rows; recipes is its `pool`. While
    there are too few runs for any law, runs are spread over its inputs (kind). Raises `UserError` for bad input, and
    `Refusal` where there are enough runs and no law can be fitted to them.
    """
    from analysis.table.read import load_table

    recipes = options.pop("recipes", ())
    settings = settings_of(y=y, resamples=0, starts=STARTS, seed=seed, pool=recipes, **options)
    pool, target = rows_of(pool, "pool"), rows_of(target, "target")
    prices = prices_of(pool, costs_of(pool, cost))
    check_request(target, limit, most)
    asked = Request(of or y, limit, most, settings)
    frame = load_table(table)
    laws = constrained_each([get_law(one) for one in ([law] if isinstance(law, str | Law) else law)], fix, tie)
    fits, warnings = _fits(frame, laws, asked)
    doubts = other_units(pool, frame)
    if not fits:
        _check_target(target, frame, laws[0], asked)
        begun = _spread(frame, laws[0], pool, prices, asked, why=warnings[0])
        return replace(begun, warnings=(*doubts, *begun.warnings))
    weights = backtest_weights(frame, fits, laws, asked)
    posteriors = {name: posterior_of(found, pool, target, asked.of) for name, found in fits.items()}
    rivals = [
        (weights[name], posterior_of(found, pool, target, asked.of, theta))
        for name, found in fits.items()
        for theta in _rivals_of(found, seed)
    ]
    chosen = Seeking(posteriors, weights, rivals, prices, asked).find()
    rows = tuple(pool.index[list(chosen.rows)].tolist())
    return replace(chosen, rows=rows, warnings=(*constraints(laws), *doubts, *warnings))


@dataclass(frozen=True)
class Seeking:
    """The search for the next runs: posteriors and weights by law, the candidates' prices, and the request.

    rivals: posteriors about other parameters of poorly identified laws, with their laws' weights.
    """

    posteriors: Mapping[str, Posterior]
    weights: Mapping[str, float]
    rivals: Sequence[tuple[float, Posterior]]
    prices: Prices
    asked: Request

    @cached_property
    def views(self) -> tuple[tuple[float, Posterior], ...]:
        """Return the posteriors on which the choice is based, rivals included, with weights that sum to 1."""
        views = [*((self.weights[name], one) for name, one in self.posteriors.items()), *self.rivals]
        total = sum(weight for weight, _ in views)
        return tuple((weight / total, view) for weight, view in views)

    @property
    def z(self) -> float:
        """Return the half-width of the interval in standard deviations."""
        return NormalDist().inv_cdf((1 + self.asked.settings.search.level) / 2)

    @property
    def of_the_law(self) -> bool:
        """Tell whether the quantity belongs to the law alone (N*, an exponent).

        The law's systematic error is then left out, and the power of the cost is the one that best spends the limit.
        """
        return self.asked.of != self.asked.settings.y

    def find(self) -> Suggestion:
        """Choose candidates (positions); with poorly identified laws, for a share of the limit if that buys any."""
        design, limit = self.design(), self.asked.limit
        within = limit * (CAUTION if self.rivals else 1.0)
        now = self.half_width([])
        nothing = _nothing(self.asked, "law", interval=now, laws=dict(self.weights))
        if float(self.prices.alone.min()) > limit:
            cheapest = number(float(self.prices.alone.min()))
            reason = f"the cheapest candidate costs {cheapest}, more than the limit of {number(limit)}"
            return replace(nothing, reason=reason)
        power = power_for(design, limit) if self.of_the_law and within >= limit else COST_POWER
        options: dict[str, Any] = {"most": self.asked.most, "power": power}
        chosen = choose(design, limit=within, **options) or choose(design, limit=limit, **options)
        if not chosen:
            reason = (
                f"no affordable candidate helps: none would reduce the expected error there by {percent(LEAST / 2)}"
            )
            return replace(nothing, reason=reason)
        after = tuple(self.half_width(chosen[: k + 1]) for k in range(len(chosen)))
        return replace(
            nothing,
            rows=tuple(chosen),
            cost=self.prices.of(chosen),
            interval_after=after[-1],
            after=after,
            costs=tuple(self.prices.steps(chosen)),
            forecasts=tuple(self.forecast(i) for i in chosen),
            **self.next_run(design, chosen, power, after[-1]),
        )

    def forecast(self, i: int) -> RunForecast:
        """Forecast a candidate's response, averaged over the laws; the interval includes the spread between them."""
        means, variances = np.array([posterior.forecast(i) for posterior in self.posteriors.values()]).T
        weights = [self.weights[name] for name in self.posteriors]
        middle = float(np.average(means, weights=weights))
        wide = self.z * float(np.sqrt(np.average(variances + (means - middle) ** 2, weights=weights)))
        return RunForecast(*np.exp([middle, middle - wide, middle + wide]).tolist())

    def design(self) -> Design:
        """Return the design problem: the views' features and the prices."""
        views = tuple((weight, one.alone if self.of_the_law else one.whole) for weight, one in self.views)
        return Design(views, self.prices)

    def half_width(self, chosen: list[int]) -> float:
        """Return the half-width at the targets after the chosen candidates: the geometric mean over the views."""
        logs = [weight * np.log(max(one.half_width(chosen, self.z), 1e-300)) for weight, one in self.views]
        return float(np.exp(sum(logs)))

    def next_run(self, design: Design, chosen: list[int], power: float, now: float) -> dict[str, Any]:
        """Return the gain and cost of the best further run, ignoring the limit."""
        if len(chosen) == len(self.prices.alone):
            return {}
        cost = self.prices.added(chosen)
        score = design.gain(design.after(chosen)) / cost**power
        score[chosen] = -1
        best = int(np.argmax(score))
        return {"next_gain": 1 - self.half_width([*chosen, best]) / now, "next_cost": float(cost[best])}


def _nothing(
    asked: Request, kind: Literal["law", "space"], *, interval: float | None, laws: dict[str, float]
) -> Suggestion:
    """Return the suggestion of no run. interval: the present half-width."""
    level = asked.settings.search.level
    return Suggestion((), 0.0, interval, interval, (), (), asked.of, level, laws, kind=kind)


def _fits(frame: pd.DataFrame, laws: Sequence[Law], asked: Request) -> tuple[dict[str, Fit], tuple[str, ...]]:
    """Fit each law; laws that refuse are left out, with the sentence."""
    fits, warnings = {}, []
    for law in laws:
        found, refused = attempt(partial(fit_law, frame, law, asked.settings))
        if found is None:
            warnings.append(refused)
            continue
        fits[law.name] = found
        warnings += [f"{law.name}: {text}" if len(laws) > 1 else text for text in found.warnings]
    return fits, tuple(dict.fromkeys(warnings))


def _check_target(target: pd.DataFrame, frame: pd.DataFrame, law: Law, asked: Request) -> None:
    """Raise UserError for a target without the inputs of a law that cannot be fitted yet."""
    if asked.of == asked.settings.y and "C" not in target.columns:
        for column in input_columns(frame, law, asked.settings.x).values():
            column_of(target, column, "the target", law.name)


def _spread(
    frame: pd.DataFrame, law: Law, pool: pd.DataFrame, prices: Prices, asked: Request, *, why: str
) -> Suggestion:
    """Suggest space-filling runs for at most `CAUTION` of the limit; raise `Refusal` if the law has enough runs."""
    from analysis.table.select import select_rows

    y, x = asked.settings.y, asked.settings.x
    made, _ = select_rows(frame, y=y, along=(x,) if x else (), **vars(asked.settings.selection))
    if len(made) >= ENOUGH * len(law.params):
        raise Refusal(why)
    by = list(input_columns(made, law, x).values())
    pool = pool.assign(**{column: column_of(pool, column, "the pool", law.name) for column in by})
    chosen = fill(made, pool, prices, by=by, limit=asked.limit * CAUTION, most=asked.most)
    chosen = chosen or fill(made, pool, prices, by=by, limit=asked.limit, most=1)
    nothing = _nothing(asked, "space", interval=None, laws={})
    if not chosen:
        return replace(nothing, reason=nowhere_new(made, pool, prices, by=by, limit=asked.limit))
    warning = f"no law can be fitted yet ({why}): these runs are spread over {' and '.join(by)}"
    rows, costs = tuple(pool.index[chosen].tolist()), tuple(prices.steps(chosen))
    return replace(nothing, rows=rows, cost=prices.of(chosen), costs=costs, warnings=(warning,))


def _rivals_of(found: Fit, seed: int) -> Iterable[np.ndarray]:
    """Return inner parameters (p,) fitted to resampled runs, as alternatives for a poorly identified law; else none."""
    if found.n_runs >= ENOUGH * len(found.params):
        return ()
    engine = found.engine
    samples = refit(engine.problem, engine.points, engine.column, count=RIVALS, resample="runs", seed=seed)
    return samples.theta.T


def backtest_weights(
    frame: pd.DataFrame, fits: Mapping[str, Fit], laws: Sequence[Law], asked: Request
) -> dict[str, float]:
    """Return each law's weight: the inverse square of its backtest error; equal weights where unknown."""
    laws = [law for law in laws if law.name in fits]
    if len(laws) == 1:
        return {laws[0].name: 1.0}
    rows, by, settings = rows_by_size(frame, asked.settings)
    scores, _ = attempt(lambda: score_laws(rows, laws, settings, by=by))
    errors = {score.law: score.error for score in scores or () if np.isfinite(score.error)}
    raw = {law.name: 1 / max(errors.get(law.name, np.inf), 1e-6) ** 2 for law in laws}
    total = sum(raw.values())
    return {name: value / total if total else 1 / len(laws) for name, value in raw.items()}
