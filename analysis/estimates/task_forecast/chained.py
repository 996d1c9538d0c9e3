"""Forecast a task in two steps: a law of the loss, and a law of the task's response in that loss (the link)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analysis.errors import Refusal, UserError, attempt
from analysis.estimates.forecast import Forecast, forecasts_of
from analysis.estimates.selected import fit_selected
from analysis.estimates.task_forecast.tested import Steps, Tested, hold_out, summary
from analysis.fitting.display.plain import PlainData
from analysis.fitting.fit import fit
from analysis.fitting.intervals import percentile
from analysis.fitting.settings import settings_of
from analysis.laws import get_law
from analysis.numbers import number
from analysis.table.columns import with_compute
from analysis.table.recognise.roles import is_accuracy
from analysis.table.select import OWN_TASK, select_rows, tasks_of
from analysis.wording import counted, one_word, ticked

if TYPE_CHECKING:
    from analysis.fitting.result import Fit
    from analysis.laws import Law
    from analysis.laws.base import Array


OF_THE_LAW = ("x", "fix", "tie")
"""Options of fit that define the law, not how it is fitted."""
CLEARLY = 1.01
"""Ratio of the smallest observed via to the forecast one above which the forecast counts as extrapolation."""


@dataclass(frozen=True)
class Chained(PlainData):
    """The forecast of a task's response at one setting through another response (via) of the same run.

    via: the forecast of the first step. interval: of the curve, from paired refits of both steps. times: smallest via
    among the link's rows over the forecast via (above 1: extrapolation). tested: backtests of both steps together.
    """

    y: str
    task: str | None
    link: str
    link_params: dict[str, float]
    at: dict[str, float]
    value: float
    interval: tuple[float, float]
    level: float
    via: Forecast
    times: float
    warnings: tuple[str, ...]
    tested: tuple[Tested, ...] = ()


def chained(
    table: pd.DataFrame,
    law: str | Law = "chinchilla",
    *,
    at: Sequence[Mapping[str, float]],
    via: str = "loss",
    link: str | Law = "power",
    y: str = "loss",
    task: str | None = None,
    check: bool = True,
    **options: Any,
) -> list[Chained]:
    """Forecast y at settings: via with its own law, then y with the link, a one-variable law in 1 / via.

    If the table has tasks of stages, y is the task's and via that of the training run it started from, at the same D;
    else both are in the same row. Refits of the two steps are drawn independently and paired. check: backtest both
    steps together. options: those of fit. Raises `Refusal` where y does not decrease with via.
    """
    selection = {name: options.pop(name) for name in ("rows", "where", "pool", "keep", "run_column") if name in options}
    staged, second_law = task not in (None, OWN_TASK) and OWN_TASK in tasks_of(table), get_law(link)
    if not staged and via == y:
        raise _one_column(table, via, y, task)
    if not second_law.of_one_variable:
        raise UserError(
            f"found the link {second_law.name}, a law in {', '.join(second_law.inputs)}; wanted one of one variable"
        )
    options, first_task = {"resamples": 1000, "level": 0.95, "seed": 0} | options, OWN_TASK if staged else task
    first = fit(table, law, y=via, task=first_task, **selection, **options)
    rows = select_rows(table, y=y, task=task, **selection)[0]
    runs = select_rows(table, y=via, task=first_task, **selection)[0]
    linked = _linked(rows, runs if staged else None, y, via)
    resampling = {"resamples": options["resamples"], "level": options["level"], "seed": options["seed"] + 1}
    second = fit_selected(linked, second_law, y=y, x=f"1/{via}", **resampling)
    tests, remark = tuple[Tested, ...](), "neither step was backtested"
    if check:
        settings = settings_of(y=y, **selection, **{key: options[key] for key in options if key not in OF_THE_LAW})
        law_of_via = first.engine.problem.law
        steps = Steps(with_compute(runs), with_compute(linked), law_of_via, second_law, via, settings)
        tests, remark = _backtest(steps)
    lost = len(rows) - len(linked)
    remarks = [*([f"left out: {counted(lost, 'row')} of {y} without a {via} of its run"] if lost else []), remark]
    return [_chain(first, second, one, task, remarks, tests) for one in forecasts_of(first, at)]


def _backtest(steps: Steps) -> tuple[tuple[Tested, ...], str]:
    """Backtest both steps together; return the tests and a sentence on them, or on why there are none."""
    held_out, refused = attempt(lambda: hold_out(steps))
    return (tuple(held_out[1]), summary(*held_out)) if held_out else ((), f"no backtest: {refused}")


def _one_column(table: pd.DataFrame, via: str, y: str, task: str | None) -> UserError:
    """Return the error for a response that would be forecast from itself."""
    if task in table.columns:
        return UserError(
            f"found the task {task}, which is a column of the table; wanted it as --y {one_word(task)}; change it"
        )
    return UserError(f"found --via {via} and the response {y} in one row; wanted two columns, or --task of a stage")


def _linked(rows: pd.DataFrame, origins: pd.DataFrame | None, y: str, via: str) -> pd.DataFrame:
    """Return the rows that have a via, with 1 / via: their own, or that of the training run (origins) at the same D.

    Raises `Refusal` where y does not decrease with via (rank correlation). An accuracy is refused later, by the fit.
    """
    inverse = f"1/{via}"
    if origins is None:
        rows = rows.assign(**{inverse: 1 / pd.to_numeric(rows[via], errors="coerce")})
    else:
        if "origin" not in rows.columns:
            raise UserError("found stages without the column origin; wanted the training run that each started from")
        means = origins.groupby(["run_id", "D"])[via].mean().rename_axis(index={"run_id": "origin"})
        rows = rows.merge((1 / means).rename(inverse).reset_index(), on=["origin", "D"], how="left")
    linked = rows[np.isfinite(rows[inverse]) & (rows[inverse] > 0)]
    if linked.empty:
        raise Refusal(f"no row of {y} has a {via} of its run at the same D")
    if not is_accuracy(y) and not linked[y].rank().corr(linked[inverse].rank()) < 0:
        raise Refusal(
            f"{y} does not fall as the {via} falls; wanted an error, such as --derive 'error = 1 - {ticked(y)}'"
        )
    return linked


def _chain(
    first: Fit, second: Fit, via: Forecast, task: str | None, remarks: Sequence[str], tests: tuple[Tested, ...]
) -> Chained:
    """Return the forecast of y at the setting of one forecast of via. remarks: warnings on all settings."""
    least = 1 / float(second.engine.points.inputs["x"].max())
    warnings = [*via.warnings, *remarks, *(f"{second.y} by {via.y}: {text}" for text in second.warnings)]
    times = least / via.value
    if times > CLEARLY:
        warnings.append(
            f"the forecast {via.y} lies {number(times, 3)} times below the least that {second.y} was seen at"
        )
    value = float(second.predict({f"1/{via.y}": 1 / via.value})[0])
    at = {name: via.at[name] for name in first.engine.points.columns.values()}
    return Chained(
        y=second.y,
        task=task,
        link=second.law,
        link_params=second.params,
        at=via.at,
        value=value,
        interval=_interval(first, second, at),
        level=first.level,
        via=via,
        times=times,
        warnings=tuple(warnings),
        tested=tests,
    )


def _interval(first: Fit, second: Fit, at: Mapping[str, float]) -> tuple[float, float]:
    """Return the percentile interval of the link's refits, each evaluated at the via of a refit of the first step."""
    if second.engine.samples is None:
        raise Refusal(f"found no interval of {second.y} by way of it: most refits failed; take a simpler --link")
    law, units = second.engine.problem.law, second.engine.problem.units
    ends = []
    for of_via in (first.refits(at)[0], first.drifted_refits(at)[0]):
        count = min(len(of_via), second.engine.samples.shape[1])
        x: Array = -np.log(of_via[:count, None]) - units.log_inputs["x"]
        with np.errstate(all="ignore"):
            h = law.evaluate(second.engine.samples[:, :count], {"x": x}).h[:, 0] + units.log_y
        ends.append(np.exp(percentile(h[None], first.level))[0])
    return float(min(low for low, _ in ends)), float(max(high for _, high in ends))
