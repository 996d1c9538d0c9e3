"""Choose the runs to do next: those that narrow the interval at a target most for their cost."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from analysis.errors import Refusal, UserError, attempt
from analysis.estimates.suggest.belief import Belief, believe
from analysis.estimates.suggest.design import Design, choose
from analysis.fitting.holdout import score_laws, size_column
from analysis.fitting.intervals import check_interval
from analysis.fitting.result import plain
from analysis.fitting.settings import Settings, fit_law, settings_of
from analysis.laws import Law, get_law
from analysis.numbers import number, percent

if TYPE_CHECKING:
    import pandas as pd

STARTS = 8
"""Starts of each fit: a round is one of many, and costs seconds at the most."""
CAUTION, ENOUGH = 0.25, 3.0
"""Share of the limit that one round spends at the most while there are fewer than so many runs a parameter: a law that
is hardly identified is sure of the wrong things, and what it says changes with the next few runs."""
LEAST = 1e-3
"""Share by which a batch has to narrow the interval to be worth saying."""


class Ahead(NamedTuple):
    """What one run is expected to give: the response, and the interval in which it falls at the level."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Suggestion:
    """Runs to do next. rows: index labels of the pool, best first; empty where nothing helps, with the reason.

    interval_…: half-widths of the interval (at `level`) of the logarithm of what is asked for, the root mean square
    over targets; after: that expected after each of the rows and those before it. next_gain: the share by which one
    more run would narrow it, and next_cost what that run costs (None: there are none left). forecasts: of each row's
    response, before it is run.
    """

    rows: tuple[Any, ...]
    cost: float
    interval_now: float
    interval_after: float
    after: tuple[float, ...]
    costs: tuple[float, ...]
    of: str
    level: float
    laws: dict[str, float]
    reason: str = ""
    forecasts: tuple[Ahead, ...] = ()
    next_gain: float | None = None
    next_cost: float | None = None
    warnings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return dict(plain(self))

    def to_json(self) -> str:
        """Return to_dict as JSON text."""
        return json.dumps(self.to_dict(), indent=2)


def suggest(
    table: pd.DataFrame | str,
    law: str | Law | Sequence[str | Law] = "chinchilla",
    *,
    pool: pd.DataFrame,
    target: pd.DataFrame,
    limit: float,
    cost: str = "cost",
    y: str = "loss",
    of: str | None = None,
    most: int = 4,
    seed: int = 0,
    **options: Any,
) -> Suggestion:
    """Choose from a pool the runs that narrow the interval at the target most for their cost.

    table: the runs that were made. law: one, or several, weighted by their backtests. pool: runs that could be made:
    the law's inputs and a column of costs; a setting that stands there twice may be run twice, as two seeds. target:
    the points at which the law shall be known. of: what shall be known there: y, N_star or N_exponent (target C), or a
    parameter. limit: no more than this in all; most: at most so many runs. options: objective, delta, x, level and
    those of `fit` that choose rows. Raises `UserError` for bad input, `Refusal` where no law can be fitted.
    """
    from analysis.table.read import load_table

    x, level = options.pop("x", None), options.pop("level", 0.95)
    recipes = options.pop("recipes", ())
    settings = settings_of(resamples=0, starts=STARTS, seed=seed, pool=recipes, **options)
    check_interval("percentile", level)
    costs = _costs(pool, cost)
    _check(target, limit, most)
    frame = load_table(table)
    laws = [get_law(one) for one in ([law] if isinstance(law, str | Law) else law)]
    beliefs, weights, said = _beliefs(frame, laws, y=y, x=x, settings=settings, pool=pool, target=target, of=of or y)
    cautious = any(belief.runs < ENOUGH * len(belief.slopes) for belief in beliefs)
    seeking = Seeking(beliefs, tuple(weights.values()), costs, NormalDist().inv_cdf((1 + level) / 2))
    found = seeking.find(limit=limit, within=limit * (CAUTION if cautious else 1.0), most=most)
    return replace(
        found, rows=tuple(pool.index[list(found.rows)]), of=of or y, level=level, laws=weights, warnings=said
    )


@dataclass(frozen=True)
class Seeking:
    """Beliefs by law with their weights, the candidates' costs (m,), and z of the interval's level."""

    beliefs: Sequence[Belief]
    weights: tuple[float, ...]
    costs: np.ndarray
    z: float

    def find(self, *, limit: float, within: float, most: int) -> Suggestion:
        """Choose candidates by place, within less than the limit where one can; an empty choice has its reason."""
        design = self.design()
        cheapest = float(self.costs.min())
        now = self.half_width([])
        nothing = Suggestion((), 0.0, now, now, (), (), "", 0.95, {})
        if cheapest > limit:
            said = f"the cheapest candidate costs {number(cheapest)}, more than the limit of {number(limit)}"
            return replace(nothing, reason=said)
        chosen = choose(design, limit=max(within, cheapest), most=most)
        after = tuple(self.half_width(chosen[: k + 1]) for k in range(len(chosen)))
        if not chosen or after[-1] > now * (1 - LEAST):
            gain = percent(1 - after[-1] / now) if chosen else percent(0)
            said = f"no affordable candidate helps: the best {most} within the limit narrow the interval by {gain}"
            return replace(nothing, reason=said)
        spent = self.costs[chosen]
        found = replace(nothing, rows=tuple(chosen), cost=float(spent.sum()), interval_after=after[-1], after=after)
        ahead = tuple(self.forecast(i) for i in chosen)
        return replace(
            found, costs=tuple(spent.tolist()), forecasts=ahead, **self.next_run(design, chosen, after[-1])
        )

    def forecast(self, i: int) -> Ahead:
        """Forecast a candidate's response: over the laws, the spread between them included."""
        means, variances = np.array([belief.forecast(i) for belief in self.beliefs]).T
        middle = float(np.average(means, weights=self.weights))
        wide = self.z * float(np.sqrt(np.average(variances + (means - middle) ** 2, weights=self.weights)))
        return Ahead(*np.exp([middle, middle - wide, middle + wide]).tolist())

    def design(self) -> Design:
        """Join the beliefs: covariances within laws by weight, and what the laws' curves differ by."""
        scales = np.sqrt(np.array(self.weights) / sum(self.weights))
        pairs = list(zip(scales, self.beliefs, strict=True))
        candidates = np.concatenate([scale * belief.candidates for scale, belief in pairs])
        targets = np.concatenate([scale * belief.targets for scale, belief in pairs])
        curves, m = np.stack([belief.expected for belief in self.beliefs]), len(self.costs)
        apart = scales[:, None] * (curves - (scales**2) @ curves)
        if len(pairs) > 1 and apart.shape[1] == m + targets.shape[1]:
            candidates, targets = np.concatenate([candidates, apart[:, :m]]), np.concatenate([targets, apart[:, m:]])
        noise = float((scales**2) @ [belief.noise for belief in self.beliefs])
        return Design(candidates, targets, self.costs, noise)

    def half_width(self, chosen: list[int]) -> float:
        """Return the half-width at the targets after candidates, over the laws."""
        squares = [belief.half_width(chosen, self.z) ** 2 for belief in self.beliefs]
        return float(np.sqrt(np.average(squares, weights=self.weights)))

    def next_run(self, design: Design, chosen: list[int], now: float) -> dict[str, Any]:
        """Return what one more run would bring, whatever the limit."""
        if len(chosen) == len(self.costs):
            return {}
        V = np.eye(len(design.candidates))
        for i in chosen:
            V = design.see(V, i)
        score = design.score(V)[1]
        score[chosen] = -1
        best = int(np.argmax(score))
        return {"next_gain": 1 - self.half_width([*chosen, best]) / now, "next_cost": float(self.costs[best])}


def _beliefs(
    frame: pd.DataFrame,
    laws: Sequence[Law],
    *,
    y: str,
    x: str | None,
    settings: Settings,
    pool: pd.DataFrame,
    target: pd.DataFrame,
    of: str,
) -> tuple[list[Belief], dict[str, float], tuple[str, ...]]:
    """Fit each law, and weigh it by its backtest; laws that refuse are left out, with the sentence."""
    beliefs, said = {}, []
    for law in laws:
        found, refused = attempt(partial(fit_law, frame, law, y=y, x=x, settings=settings))
        if found is None:
            said.append(refused)
            continue
        beliefs[law.name] = believe(found, pool, target, of)
        said += [f"{law.name}: {text}" if len(laws) > 1 else text for text in found.warnings]
    if not beliefs:
        raise Refusal(said[0])
    kept = [law for law in laws if law.name in beliefs]
    weights = backtest_weights(frame, kept, y=y, x=x, settings=settings) if len(kept) > 1 else {kept[0].name: 1.0}
    return list(beliefs.values()), weights, tuple(dict.fromkeys(said))


def backtest_weights(
    frame: pd.DataFrame, laws: Sequence[Law], *, y: str, x: str | None, settings: Settings
) -> dict[str, float]:
    """Return each law's weight: the inverse square of its error ahead of its data; equal where unknown."""
    from analysis.table.select import select_rows

    rows, _ = select_rows(frame, y=y, **vars(settings.selection))
    by = size_column(rows, x)
    if by not in rows.columns and {"N", "D"} <= set(rows.columns):
        rows, by = rows.assign(**{by: rows["N"] * rows["D"]}), by
    scores, _ = attempt(lambda: score_laws(rows, laws, y=y, x=x, by=by, settings=settings))
    errors = {score.law: score.error for score in scores or () if np.isfinite(score.error)}
    raw = {law.name: 1 / max(errors.get(law.name, np.inf), 1e-6) ** 2 for law in laws}
    total = sum(raw.values())
    return {name: value / total if total else 1 / len(laws) for name, value in raw.items()}


def _costs(pool: pd.DataFrame, cost: str) -> np.ndarray:
    """Return the candidates' costs. Raises `UserError`."""
    if cost not in pool.columns:
        raise UserError(
            f"found no column {cost!r} in the pool ({', '.join(map(str, pool.columns))}); name it with cost"
        )
    if not len(pool):
        raise UserError("found an empty pool; wanted one candidate or more; add some")
    costs = np.asarray(pool[cost].to_numpy(dtype=float))
    if not (np.isfinite(costs).all() and (costs > 0).all()):
        raise UserError(
            f"found {cost} that is not a positive number; wanted what each candidate costs; take such rows out"
        )
    return costs


def _check(target: pd.DataFrame, limit: float, most: int) -> None:
    """Raise `UserError` for a target without rows, and a limit or a number of runs that is none."""
    if not len(target):
        raise UserError("found an empty target; wanted the points at which the law shall be known; add one")
    if not limit > 0:
        raise UserError(f"found limit={limit}; wanted a positive number, in the units of the costs")
    if not most >= 1:
        raise UserError(f"found most={most}; wanted the number of runs of a round, one or more")
