"""Forecast the response at a setting that was not run: value, intervals, how far ahead, what backtests support."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.errors import Refusal, UserError
from analysis.fitting.result import Fit, plain
from analysis.numbers import number

if TYPE_CHECKING:
    import pandas as pd

    from analysis.laws import Law


@dataclass(frozen=True)
class Forecast:
    """What a law says of one setting."""

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

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return plain(self)

    def to_json(self) -> str:
        """Return to_dict as JSON text."""
        return json.dumps(self.to_dict(), indent=2)


def forecast(
    table: pd.DataFrame | str,
    law: str | Law = "chinchilla",
    *,
    at: Mapping[str, float],
    x: str | None = None,
    check: bool = True,
    **options: Any,
) -> Forecast:
    """Fit a law and forecast at a setting such as {"C": 1e20}; a law in N and D given only C takes their optimum.

    check: backtest by the same column how far ahead such fits have held. options: those of fit.
    """
    return forecasts(table, law, at=[at], x=x, check=check, **options)[0]


def forecasts(
    table: pd.DataFrame | str,
    law: str | Law = "chinchilla",
    *,
    at: Sequence[Mapping[str, float]],
    x: str | None = None,
    check: bool = True,
    **options: Any,
) -> list[Forecast]:
    """Do the same for several settings by one fit, and one backtest for each column that they are told by."""
    from analysis.estimates.backtest import backtest
    from analysis.fitting.fit import fit
    from analysis.table.read import load_table

    frame = load_table(table)
    options = {"resamples": 1000} | options
    found = fit(frame, law, x=x, **options)

    @cache
    def checked(by: str | None) -> tuple[float | None, list[str]]:
        if not check or by is None:
            return None, []
        try:
            settings = {**options, "resamples": min(200, options["resamples"])}
            tested = backtest(frame, [found.law if isinstance(law, str) else law], x=x, by=by, **settings)
        except Refusal as refusal:
            return None, [f"no backtest: {refusal}"]
        return tested.supported, []

    points = [_point(found, one) for one in at]  # a setting that the law cannot read is refused before any backtest
    told = []
    for one, point in zip(at, points, strict=True):
        by = next((name for name in ("C", "N", "D", *one) if name in one and name in frame.columns), None)
        supported, said = checked(by)
        largest = _largest(frame, found, by)
        told.append(forecast_from(found, point, by=by or "", largest=largest, supported=supported, said=said))
    return told


def forecast_from(
    found: Fit,
    point: dict[str, float],
    *,
    by: str = "",
    largest: float | None = None,
    supported: float | None = None,
    said: list[str] | None = None,
) -> Forecast:
    """Read a forecast off a fit. largest: of the runs in the column by; supported: times beyond it; said: warnings."""
    columns = found.engine.points.columns.values()
    asked = {column: point[column] for column in columns}
    ranges = dict(zip(columns, found.engine.points.inputs.values(), strict=True))
    beyond = {column: asked[column] / float(ranges[column].max()) for column in columns}
    ahead = point[by] / largest if largest and by in point else max(beyond.values())
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
        warnings=(*found.warnings, *(said or ()), *_outside(asked, ranges), *_unsupported(by, supported, ahead)),
    )


def _point(found: Fit, at: Mapping[str, float]) -> dict[str, float]:
    """Complete a setting to the inputs of the law: C alone to its optimum."""
    point = {name: float(value) for name, value in at.items()}
    columns = list(found.engine.points.columns.values())
    if not all(column in point for column in columns):
        if found.allocation is None or set(point) != {"C"}:
            raise UserError(
                f"found {', '.join(point) or 'nothing'}; the law {found.law} forecasts at {', '.join(columns)}"
                + (" (or at C alone)" if found.allocation else "")
            )
        best = found.allocate(point["C"])
        whole = {"N": best.N, "D": best.D, "D_unique": best.D, "batch": best.batch}
        point |= {column: value for column, value in whole.items() if column in columns and value is not None}
    return point


def _outside(asked: dict[str, float], ranges: dict[str, np.ndarray]) -> list[str]:
    """Say which inputs lie outside the runs' range."""
    said = []
    for column, value in asked.items():
        times = value / ranges[column].max()
        if times > 1.0001:
            said.append(f"{column} lies {number(times, 3)} times beyond the largest run")
        if value < ranges[column].min() * 0.9999:
            said.append(f"{column} lies below the smallest run's")
    return said


def _unsupported(by: str, supported: float | None, ahead: float) -> list[str]:
    """Say that backtests do not support looking so many times ahead."""
    if supported is None or ahead <= max(1.0, supported) * 1.0001:
        return []
    if supported <= 1:
        return [f"no backtest by {by} held its interval: this forecast's interval is not to be trusted"]
    far = f"this looks {number(ahead, 3)} times ahead"
    return [f"backtests support looking ahead {number(supported, 3)} times in {by}; {far}"]


def _largest(frame: pd.DataFrame, found: Fit, by: str | None) -> float | None:
    """Return the largest value of a column among the rows that could be fitted."""
    if by is None:
        return None
    columns = found.engine.points.columns
    for name, column in columns.items():
        if column == by:
            return float(found.engine.points.inputs[name].max())
    values = frame[by].to_numpy(dtype=float)
    return float(np.nanmax(values))
