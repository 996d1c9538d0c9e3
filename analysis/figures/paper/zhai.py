"""Error against compute after Zhai et al. 2022 (arXiv 2106.04560): colour is size, marker area is the data set's size.

The points of one model and data set are joined over epochs; the dashed line is the law of the frontier.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from analysis.estimates.conventions import Exponents, counted_by
from analysis.figures.equation import Curve, curve_of_fit
from analysis.figures.style import GREY, INK, colours, label, legend_below, log_axes, margins, value_bar
from analysis.numbers import count
from analysis.table.cells import cells

AREAS = (10.0, 70.0)
"""Areas of the markers of the smallest and the largest data set, in points squared."""


@dataclass(frozen=True)
class Series:
    """One model on one data set: its points in order of epochs."""

    N: float
    examples: float
    C: np.ndarray
    y: np.ndarray


@dataclass(frozen=True)
class ZhaiNumbers:
    """What is drawn: the series and the law of their frontier."""

    series: tuple[Series, ...]
    curve: Curve | None
    x_label: str
    y_label: str
    bar_label: str


def zhai_numbers(rows: pd.DataFrame, y: str, found: Exponents) -> ZhaiNumbers:
    """Collect the figure's numbers from final rows and milestones of constant-rate runs, and their frontier's law."""
    convention = found.convention
    rows = counted_by(rows, convention)
    table = cells(rows, y)
    series = []
    for _, group in table.groupby(["N", "D_unique", "width", "depth"], sort=True):
        group = group.sort_values("C")
        N, examples = float(group["N"].iloc[0]), float(group["D_unique"].iloc[0])
        series.append(Series(N, examples, group["C"].to_numpy(float), group[y].to_numpy(float)))
    ends = (float(table["C"].min()), float(table["C"].max()) * 3)
    curve = replace(curve_of_fit(found.law, "C", *ends), weak=found.weak) if found.law else None
    return ZhaiNumbers(tuple(series), curve, convention.C_label, label(y, rows), convention.N_label)


def draw_zhai(ax: Axes, numbers: ZhaiNumbers) -> None:
    """Draw series, frontier and law."""
    colour = colours(one.N for one in numbers.series)
    area = _areas({one.examples for one in numbers.series})
    for one in numbers.series:
        ax.plot(one.C, one.y, color=colour[one.N], lw=0.6, alpha=0.5, zorder=2)
        ax.scatter(one.C, one.y, s=area[one.examples], color=colour[one.N], alpha=0.75, lw=0, zorder=3)
    if numbers.curve is not None:
        interval = f"\nexponent in {numbers.curve.interval}" if numbers.curve.interval else ""
        text = numbers.curve.equation + interval + "  (weak)" * numbers.curve.weak
        ax.plot(numbers.curve.x, numbers.curve.y, color=INK, ls=(0, (5, 2)), lw=1.3, zorder=5, label=text)
        if numbers.curve.band is not None:
            ax.fill_between(numbers.curve.x, *numbers.curve.band, color=INK, alpha=0.1, lw=0)
    for examples in _few(sorted(area)):
        ax.scatter([], [], s=area[examples], color=GREY, lw=0, label=f"{count(examples)} examples")
    C = np.concatenate([one.C for one in numbers.series])
    margins(ax, C, np.concatenate([one.y for one in numbers.series]), room=0.08)
    legend_below(ax)
    log_axes(ax)
    ax.set(xlabel=numbers.x_label, ylabel=numbers.y_label)
    value_bar(ax, colour, numbers.bar_label)


def _areas(examples: set[float]) -> dict[float, float]:
    ranked = sorted(examples)
    places = np.linspace(*AREAS, len(ranked)) if len(ranked) > 1 else [25.0]
    return {value: float(place) for value, place in zip(ranked, places, strict=True)}


def _few(values: list[float]) -> list[float]:
    return values if len(values) <= 3 else [values[0], values[len(values) // 2], values[-1]]
