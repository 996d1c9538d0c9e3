"""Error against the size of the data set or the number of test crops, one line per recipe."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from analysis.figures.seed_range import SeedRange, draw_range, ends_of, seed_range
from analysis.figures.style import GREY, HUES, MARKERS, label, legend_above, literal, log_axes, margins, value_ticks


@dataclass(frozen=True)
class RecipeLine(SeedRange):
    """One recipe. level: its value without crops, where x is their number."""

    name: str
    level: float | None = None


@dataclass(frozen=True)
class RecipeNumbers:
    """What is drawn: the lines, and the labels."""

    lines: tuple[RecipeLine, ...]
    x_label: str
    y_label: str
    level_label: str = ""


def recipe_numbers(
    groups: Iterable[tuple[str, pd.DataFrame]],
    x: str,
    y: str,
    *,
    x_label: str,
    levels: Mapping[str, float] | None = None,
    level_label: str = "",
) -> RecipeNumbers:
    """Collect the lines from the rows of each recipe, by its name."""
    lines, y_label = [], label(y)
    for name, rows in groups:
        lines.append(RecipeLine(**seed_range(rows, x, y), name=name, level=(levels or {}).get(name)))
        y_label = label(y, rows)
    return RecipeNumbers(tuple(lines), x_label, y_label, level_label)


def draw_recipes(ax: Axes, numbers: RecipeNumbers) -> None:
    """Draw the lines with their seeds' range, and their levels dotted."""
    for i, line in enumerate(numbers.lines):
        own, marker = HUES[i % len(HUES)], MARKERS[i % len(MARKERS)]
        draw_range(ax, line, color=own, marker=marker, ms=4.5, lw=1.2, label=literal(line.name))
        if line.level is not None:
            ax.axhline(line.level, color=own, lw=0.9, ls=":", zorder=1)
    levels = [line.level for line in numbers.lines if line.level is not None]
    if levels:
        ax.plot([], [], color=GREY, lw=0.9, ls=":", label=numbers.level_label)
    x, y = ends_of(numbers.lines)
    margins(ax, x, np.concatenate([y, levels]), 0.08)
    log_axes(ax)
    value_ticks(ax, x)
    ax.set(xlabel=numbers.x_label, ylabel=numbers.y_label)
    legend_above(ax)
