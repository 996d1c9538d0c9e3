"""Forecast the response at a new setting: value, intervals, extrapolation factor, and backtested support."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.errors import Refusal, UserError
from analysis.estimates.backtest import backtest
from analysis.fitting.display.in_notebook import InNotebook
from analysis.fitting.fit import fit
from analysis.fitting.result import Fit
from analysis.numbers import number
from analysis.table.columns import numbers_of
from analysis.table.read import load_table

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from analysis.laws import Law


SAME_C = 0.1
"""Maximum difference in log C between a C and that of N and D beside it."""
EDGE = 1.0001
"""Ratio to the largest run above which a setting counts as extrapolation."""


@dataclass(frozen=True, repr=False)
class Forecast(InNotebook):
    """The forecast of a law at one setting."""

    law: str
    y: str
    at: dict[str, float]
    value: float
    mean_interval: tuple[float, float]
    run_interval: tuple[float, float]
    level: float
    beyond: dict[str, float]
    supported: float | None
    by: str
    warnings: tuple[str, ...]


def forecast(
    table: pd.DataFrame | str | Path,
    law: str | Law = "chinchilla",
    *,
    at: Mapping[str, float],
    x: str | None = None,
    check: bool = True,
    **options: Any,
) -> Forecast:
    """Fit a law and forecast at a setting such as {"C": 1e20}. With C alone, a law in N and D uses the optimal N and D.

    check: backtest the law to find the extrapolation factor that it supports. options: those of fit.
    """
    return forecasts(table, law, at=[at], x=x, check=check, **options)[0]


def forecasts(
    table: pd.DataFrame | str | Path,
    law: str | Law = "chinchilla",
    *,
    at: Sequence[Mapping[str, float]],
    x: str | None = None,
    check: bool = True,
    **options: Any,
) -> list[Forecast]:
    """Forecast at several settings with one fit and one backtest; see `forecast`."""
    frame = load_table(table)
    options = {"resamples": 1000} | options
    found = fit(frame, law, x=x, **options)
    points = [_point(found, one) for one in at]  # refuse an invalid setting before the backtest
    by = _size_name(found)
    supported, remarks = None, []
    if check:
        try:
            settings = {name: value for name, value in options.items() if name not in ("fix", "tie")}
            settings = {**settings, "resamples": min(200, options["resamples"])}
            tested = backtest(_sized(frame, found), [found.engine.problem.law], x=x, by=by, **settings)
            supported = tested.supported
        except Refusal as refusal:
            remarks = [f"no backtest: {refusal}"]
    return [_forecast_from(found, point, supported=supported, remarks=remarks) for point in points]


def forecasts_of(found: Fit, at: Sequence[Mapping[str, float]]) -> list[Forecast]:
    """Return a fit's forecasts at settings, without a backtest; C alone is completed with the optimal N and D."""
    return [_forecast_from(found, _point(found, one)) for one in at]


def _forecast_from(
    found: Fit, point: dict[str, float], *, supported: float | None = None, remarks: Sequence[str] = ()
) -> Forecast:
    """Return a fit's forecast at one setting. supported: extrapolation factor that passed; remarks: more warnings."""
    columns = found.engine.points.columns.values()
    asked = {column: point[column] for column in columns}
    ranges = dict(zip(columns, found.engine.points.inputs.values(), strict=True))
    by, factor = _size_name(found), _times_ahead(found, asked)
    beyond = {column: asked[column] / float(ranges[column].max()) for column in columns} | {by: factor}
    low, high = found.interval(asked)
    run_low, run_high = found.interval(asked, kind="run")
    return Forecast(
        law=found.law,
        y=found.y,
        at=point,
        value=float(found.predict(asked)[0]),
        mean_interval=(float(low[0]), float(high[0])),
        run_interval=(float(run_low[0]), float(run_high[0])),
        level=found.level,
        beyond=beyond,
        supported=supported,
        by=by,
        warnings=(*found.warnings, *remarks, *_outside(asked, ranges, beyond), *_unsupported(by, supported, factor)),
    )


def _size_name(found: Fit) -> str:
    """Name the size of a run for a fitted law: its variable, C for a law in N and D, else the product of its inputs."""
    columns = _sizes(found)
    return "C" if found.engine.problem.law.allocates else " x ".join(columns)


def _times_ahead(found: Fit, asked: Mapping[str, float]) -> float:
    """Return the extrapolation factor of a setting: its size (product of inputs) over the largest run's."""
    columns = _sizes(found)
    runs = np.prod([found.engine.points.inputs[name] for name in columns.values()], axis=0)
    return float(np.prod([asked[column] for column in columns]) / runs.max())


def _sized(frame: pd.DataFrame, found: Fit) -> pd.DataFrame:
    """Add the size column to a table; where N and D are given, C = k N D with the law's k."""
    columns = _sizes(found)
    if len(columns) == 1:
        return frame
    size = np.prod([numbers_of(frame[column], column) for column in columns], axis=0)
    k = found.engine.points.flops_per_nd if found.engine.problem.law.allocates else 1.0
    return frame.assign(**{_size_name(found): k * size})


def _sizes(found: Fit) -> dict[str, str]:
    """Return the columns whose product is a run's size, mapped to the law's inputs."""
    columns, law = found.engine.points.columns, found.engine.problem.law
    names = ("N", "D") if law.allocates else tuple(name for name in columns if name != "D_unique")
    return {columns[name]: name for name in names}


def _point(found: Fit, at: Mapping[str, float]) -> dict[str, float]:
    """Complete a setting to the inputs of the law; C alone gets the optimal N and D."""
    point = _setting(at)
    columns = list(found.engine.points.columns.values())
    if not all(column in point for column in columns):
        if found.allocation is None or set(point) != {"C"}:
            raise UserError(
                f"found {', '.join(point) or 'nothing'}; the law {found.law} forecasts at {', '.join(columns)}"
                + (" (or at C alone)" if found.allocation else "")
            )
        best = found.allocate(point["C"])
        whole = {"N": best.N, "D": best.D, "D_unique": best.D, "batch": best.batch}
        return point | {column: value for column, value in whole.items() if column in columns and value is not None}
    _refuse_beside(found, point, columns)
    return point


def _refuse_beside(found: Fit, point: Mapping[str, float], columns: Sequence[str]) -> None:
    """Raise `UserError` for values that the law does not take, but for a C that is that of N and D."""
    beside = [name for name in point if name not in columns]
    if found.allocation is not None and beside == ["C"]:
        sizes = found.engine.points.columns
        of_sizes = found.allocation.flops_per_nd * point[sizes["N"]] * point[sizes["D"]]
        if abs(np.log(point["C"] / of_sizes)) < SAME_C:
            return
        raise UserError(
            f"found C = {number(point['C'], 3)} beside N and D, which take {number(of_sizes, 3)}; leave C out"
        )
    if beside:
        raise UserError(
            f"found {', '.join(beside)}, which the law {found.law} of {', '.join(columns)} does not take; leave it out"
        )


def _setting(at: object) -> dict[str, float]:
    """Return the numbers of one setting by name; raise `UserError` for anything else."""
    try:
        return {str(name): float(value) for name, value in dict(at).items()}  # type: ignore[call-overload]
    except (TypeError, ValueError):
        found = f"found a {type(at).__name__} as at" if not isinstance(at, Mapping) else f"found at={at!r}"
        raise UserError(f'{found}; wanted the numbers of one setting, such as {{"C": 1e20}}') from None


def _outside(asked: dict[str, float], ranges: dict[str, np.ndarray], beyond: dict[str, float]) -> list[str]:
    """Report each input, or their product, that is outside the runs' range."""
    warnings = [
        f"{name} lies {number(far, 3)} times beyond the largest run" for name, far in beyond.items() if far > EDGE
    ]
    return warnings + [
        f"{column} lies below the smallest run's"
        for column, value in asked.items()
        if value < ranges[column].min() / EDGE
    ]


def _unsupported(by: str, supported: float | None, factor: float) -> list[str]:
    """Warn that backtests do not support this extrapolation factor."""
    if supported is None or factor <= max(1.0, supported) * EDGE:
        return []
    if supported <= 1:
        return [f"no backtest by {by} held its interval, so do not trust the interval of this forecast"]
    far = f"this forecast is {number(factor, 3)} times beyond the runs"
    return [f"backtests support extrapolation by {number(supported, 3)} times in {by}; {far}"]
