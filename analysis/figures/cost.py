"""The cost of runs against its forecast."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from analysis.figures.style import GREY, INK, legend_above, log_axes, margins
from analysis.numbers import number
from analysis.table.select import last_rows
from analysis.wording import counted


@dataclass(frozen=True)
class CostNumbers:
    """Forecast and actual seconds of each run, the median of actual / forecast and that of the relative error."""

    forecast: np.ndarray
    actual: np.ndarray
    ratio: float
    error: float


def cost_numbers(table: pd.DataFrame) -> CostNumbers | None:
    """Collect the finished runs that have both times (diverged ones end early); None where fewer than three have."""
    if not {"seconds", "forecast_seconds"} <= set(table.columns):
        return None
    ends = last_rows(table)
    ends = ends[ends["status"] == "finished"] if "status" in ends.columns else ends
    times = ends[["forecast_seconds", "seconds"]].apply(pd.to_numeric, errors="coerce").dropna()
    times = times[(times > 0).all(axis=1)]
    if len(times) < 3:
        return None
    forecast, actual = times["forecast_seconds"].to_numpy(float), times["seconds"].to_numpy(float)
    error = float(np.median(np.abs(forecast / actual - 1)))
    return CostNumbers(forecast, actual, float(np.median(actual / forecast)), error)


def draw_cost(ax: Axes, numbers: CostNumbers) -> None:
    """Draw actual against forecast, the line of equality and a band of a factor of 1.5."""
    every = np.concatenate([numbers.forecast, numbers.actual])
    margins(ax, every, every, 0.08)
    ends = np.array(ax.get_xlim())
    ax.fill_between(ends, ends / 1.5, ends * 1.5, color=GREY, alpha=0.15, lw=0, label="within a factor of 1.5")
    ax.plot(ends, ends, color=INK, lw=0.8)
    text = f"{counted(len(numbers.actual), 'run')}, median actual / forecast {number(numbers.ratio, 3)}"
    ax.plot(numbers.forecast, numbers.actual, "o", color="#31688e", ms=3.5, alpha=0.7, ls="none", label=text)
    ax.set_ylim(*ends)
    log_axes(ax)
    ax.set(xlabel="forecast time (s)", ylabel="actual time (s)")
    legend_above(ax)
