"""Residuals of a fit, in per cent, against compute (or the fitted value)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes

from analysis.figures.style import GREY, INK, colours, label, log_axes, margins, value_bar
from analysis.fitting.result import Fit


@dataclass(frozen=True)
class ResidualNumbers:
    """The figure's numbers: residuals in per cent (of log y), their position, and the value for their colour."""

    x: np.ndarray
    percent: np.ndarray
    colour_by: np.ndarray | None
    x_label: str
    bar_label: str
    spread: float


def residual_numbers(fit: Fit) -> ResidualNumbers:
    """Collect the figure's numbers from a fit."""
    points = fit.engine.points
    percent = 100 * (np.log(points.y) - np.log(fit.predict({points.columns[k]: v for k, v in points.inputs.items()})))
    if {"N", "D"} <= points.inputs.keys():
        x, name = points.flops_per_nd * points.inputs["N"] * points.inputs["D"], label("C")
        by, bar = points.inputs["N"], label("N")
    else:
        variable = next(iter(points.inputs))
        x, name, by, bar = points.inputs[variable], label(points.columns[variable]), None, ""
    spread = 1.4826 * float(np.median(np.abs(percent - np.median(percent))))
    return ResidualNumbers(x, percent, by, name, bar, spread)


def draw_residuals(ax: Axes, numbers: ResidualNumbers) -> None:
    """Draw residuals, zero, and a band of two robust standard deviations."""
    ax.axhspan(-2 * numbers.spread, 2 * numbers.spread, color=GREY, alpha=0.15, lw=0)
    ax.axhline(0, color=INK, lw=0.8)
    many = len(numbers.x) > 2000
    if numbers.colour_by is not None and len(np.unique(numbers.colour_by)) <= 60:
        colour = colours(numbers.colour_by)
        shades = [colour[value] for value in numbers.colour_by]
        ax.scatter(numbers.x, numbers.percent, c=shades, s=11, lw=0, zorder=3, rasterized=many)
        value_bar(ax, colour, numbers.bar_label)
    else:
        ax.scatter(numbers.x, numbers.percent, color=INK, s=11, lw=0, zorder=3, rasterized=many)
    margins(ax, numbers.x, [])
    log_axes(ax, "x")
    ax.set(xlabel=numbers.x_label, ylabel="measured over fitted − 1 (%)")
