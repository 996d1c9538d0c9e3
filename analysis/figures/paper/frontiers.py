"""Frontiers of several families or tasks, each with its law (Figures 7 and 10 of arXiv 2306.13575)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from analysis.estimates.conventions import OURS, Exponents, counted_by
from analysis.figures.equation import Curve, curve_of_fit, draw_curve
from analysis.figures.style import HUES, MARKERS, label, legend_above, literal, log_axes, margins
from analysis.table.cells import cells


@dataclass(frozen=True)
class Group:
    """One family or task: all points, the points on its frontier, and its law."""

    name: str
    C: np.ndarray
    y: np.ndarray
    best: tuple[np.ndarray, np.ndarray]
    curve: Curve | None


@dataclass(frozen=True)
class FrontierNumbers:
    """What is drawn: the groups, and the labels."""

    groups: tuple[Group, ...]
    x_label: str
    y_label: str


def frontier_numbers(groups: Mapping[str, tuple[pd.DataFrame, Exponents]], y: str) -> FrontierNumbers:
    """Collect the figure's numbers from each group's rows and the law of their frontier, one convention for all."""
    found, convention, y_label = [], OURS, label(y)
    for name, (rows, one) in groups.items():
        convention, y_label = one.convention, label(y, rows)
        table = cells(counted_by(rows, convention), y).sort_values("C")
        ends = (float(table["C"].min()), float(table["C"].max()))
        curve = replace(curve_of_fit(one.law, "C", *ends), weak=one.weak) if one.law else None
        points = one.front.points
        best = (np.array([p.x for p in points]), np.array([p.y for p in points]))
        found.append(Group(name, table["C"].to_numpy(float), table[y].to_numpy(float), best, curve))
    return FrontierNumbers(tuple(found), convention.C_label, y_label)


def draw_frontiers(ax: Axes, numbers: FrontierNumbers) -> None:
    """Draw each group's points (faint), its frontier and its law."""
    for i, group in enumerate(numbers.groups):
        hue, marker = HUES[i % len(HUES)], MARKERS[i % len(MARKERS)]
        ax.plot(group.C, group.y, marker, color=hue, alpha=0.2, ms=3, ls="none", mew=0, zorder=2)
        ax.plot(*group.best, marker, color=hue, ms=5, ls="none", zorder=4, label=literal(group.name))
        if group.curve is not None:
            draw_curve(ax, group.curve, hue)
    C = np.concatenate([group.C for group in numbers.groups])
    margins(
        ax, C, np.concatenate([*(g.y for g in numbers.groups), *(g.curve.reach for g in numbers.groups if g.curve)])
    )
    legend_above(ax)
    log_axes(ax)
    ax.set(xlabel=numbers.x_label, ylabel=numbers.y_label)
