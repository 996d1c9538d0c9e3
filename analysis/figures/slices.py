"""Loss (or error) along one variable, N or D: one line per slice, with its law."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from analysis.figures.equation import Curve, draw_curve
from analysis.figures.seed_range import SeedRange, draw_range, ends_of, seed_range
from analysis.figures.style import LAW, colours, label, legend_above, log_axes, margins, value_bar
from analysis.table.slices import Slice


@dataclass(frozen=True)
class SliceLine(SeedRange):
    """One slice, with the value held fixed in it, and its law (None if refused)."""

    value: float
    curve: Curve | None


@dataclass(frozen=True)
class SliceNumbers:
    """The figure's numbers: the lines and the labels."""

    lines: tuple[SliceLine, ...]
    x_label: str
    y_label: str
    bar_label: str


def slice_numbers(slices: Sequence[Slice], y: str, curves: Sequence[Curve | None], rows: pd.DataFrame) -> SliceNumbers:
    """Collect the figure's numbers. curves: one for each slice, or None."""
    lines = tuple(
        SliceLine(**seed_range(one.rows, one.x, y), value=one.value, curve=curve)
        for one, curve in zip(slices, curves, strict=True)
    )
    x_label = "training set size (examples)" if slices[0].x == "D_unique" else label(slices[0].x, rows)
    return SliceNumbers(lines, x_label, label(y, rows), label(slices[0].held, rows))


def draw_slices(ax: Axes, numbers: SliceNumbers) -> None:
    """Draw the lines with their seeds' range; the law at the largest fixed value is highlighted, with its equation."""
    colour = colours(line.value for line in numbers.lines)
    last = next((line for line in reversed(numbers.lines) if line.curve), None)
    for line in numbers.lines:
        own = colour[line.value]
        draw_range(ax, line, fmt="o", color=own, ms=3.2, lw=0.8, zorder=3)
        if line.curve is None:
            ax.plot(line.x, line.mean, color=own, lw=0.8, zorder=2)
        elif line is last:
            draw_curve(ax, line.curve, LAW, known=(float(line.x.min()), float(line.x.max())), zorder=2.5)
        else:
            ax.plot(line.curve.x, line.curve.y, color=own, lw=1.0, zorder=2)
    x, y = ends_of(numbers.lines)
    drawn = [(line.curve.x, line.curve.reach if line is last else line.curve.y) for line in numbers.lines if line.curve]
    margins(ax, np.concatenate([x, *(one for one, _ in drawn)]), np.concatenate([y, *(one for _, one in drawn)]))
    log_axes(ax)
    ax.set(xlabel=numbers.x_label, ylabel=numbers.y_label)
    if len(colour) > 1:
        value_bar(ax, colour, numbers.bar_label)
    legend_above(ax)
