"""Loss (or error) against one variable, N or D, a line for each value of the other, with the laws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from analysis.figures.equation import Curve, draw_curve
from analysis.figures.style import LAW, colours, label, legend_above, log_axes, margins, value_bar
from analysis.table.slices import Sweep


@dataclass(frozen=True)
class Line:
    """One sweep: means over seeds, lowest and highest seed, and its law (None where it was refused)."""

    value: float
    x: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    curve: Curve | None


@dataclass(frozen=True)
class SingleNumbers:
    """What is drawn: the lines, and the labels."""

    lines: tuple[Line, ...]
    x_label: str
    y_label: str
    bar_label: str


def single_numbers(
    sweeps: Sequence[Sweep], y: str, curves: Sequence[Curve | None], rows: pd.DataFrame
) -> SingleNumbers:
    """Collect the figure's numbers. curves: one for each sweep, or None."""
    lines = []
    for sweep, curve in zip(sweeps, curves, strict=True):
        by = sweep.rows.groupby(sweep.x)[y].agg(["mean", "min", "max"])
        mean, low, high = (by[name].to_numpy(float) for name in ("mean", "min", "max"))
        lines.append(Line(sweep.value, by.index.to_numpy(float), mean, low, high, curve))
    x_label = "training set size (examples)" if sweeps[0].x == "D_unique" else label(sweeps[0].x, rows)
    return SingleNumbers(tuple(lines), x_label, label(y, rows), label(sweeps[0].held, rows))


def draw_single(ax: Axes, numbers: SingleNumbers) -> None:
    """Draw the lines with their seeds' range; the law of the largest value stands out, with its equation."""
    colour = colours(line.value for line in numbers.lines)
    last = next((line for line in reversed(numbers.lines) if line.curve), None)
    for line in numbers.lines:
        own = colour[line.value]
        about = np.stack([line.mean - line.low, line.high - line.mean])
        ax.errorbar(line.x, line.mean, yerr=about, fmt="o", color=own, ms=3.2, lw=0.8, zorder=3)
        if line.curve is None:
            ax.plot(line.x, line.mean, color=own, lw=0.8, zorder=2)
        elif line is last:
            draw_curve(ax, line.curve, LAW, known=(float(line.x.min()), float(line.x.max())), zorder=2.5)
        else:
            ax.plot(line.curve.x, line.curve.y, color=own, lw=1.0, zorder=2)
    x = np.concatenate([line.x for line in numbers.lines])
    y = np.concatenate([part for line in numbers.lines for part in (line.low, line.high)])
    drawn = [line.curve for line in numbers.lines if line.curve is not None]
    margins(ax, np.concatenate([x, *(curve.x for curve in drawn)]), np.concatenate([y, *(curve.y for curve in drawn)]))
    log_axes(ax)
    ax.set_xlabel(numbers.x_label)
    ax.set_ylabel(numbers.y_label)
    if len(colour) > 1:
        value_bar(ax, colour, numbers.bar_label)
    legend_above(ax)
