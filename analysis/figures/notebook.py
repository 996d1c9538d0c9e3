"""Draw one result for a notebook: a fit and its runs, its residuals, a frontier, isoFLOP curves, a comparison."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np

from analysis.figures.comparison import comparison_numbers, draw_multiplier
from analysis.figures.equation import curve_of_fit, curve_of_line, draw_curve, symbol_of
from analysis.figures.residuals import draw_residuals, residual_numbers
from analysis.figures.style import INK, LAW, colours, figure_style, label, legend_above, log_axes, margins, value_bar
from analysis.figures.valleys import draw_valleys, valley_numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from analysis.estimates.frontier import Frontier
    from analysis.estimates.isoflop import IsoFlop
    from analysis.estimates.multiplier import Comparison
    from analysis.fitting.result import Fit


def plot_fit(fit: Fit, ax: Axes | None = None) -> Axes:
    """Draw the runs of a fit and its law: a curve with its band over one variable, else measured against fitted."""
    return _drawn(_over_one if len(fit.engine.points.inputs) == 1 else _measured_over_fitted, fit, ax)


def plot_residuals(fit: Fit, ax: Axes | None = None) -> Axes:
    """Draw the residuals of a fit in per cent."""
    return _drawn(lambda own, found: draw_residuals(own, residual_numbers(found)), fit, ax)


def plot_frontier(found: Frontier, ax: Axes | None = None) -> Axes:
    """Draw the points of a frontier and the line through them."""
    return _drawn(_line_through_points, found, ax)


def plot_isoflop(found: IsoFlop, ax: Axes | None = None) -> Axes:
    """Draw the isoFLOP curve of each budget with its means and its minimum, as a report does."""
    return _drawn(lambda own, found: draw_valleys(own, valley_numbers(found)), found, ax)


def plot_comparison(found: Comparison, ax: Axes | None = None) -> Axes:
    """Draw the compute multiplier of a comparison over compute."""
    return _drawn(lambda own, found: draw_multiplier(own, comparison_numbers(found)), found, ax)


def _drawn(draw: Callable[[Axes, Any], None], found: object, ax: Axes | None) -> Axes:
    """Draw a result on the axes, or on new ones, in the style of the figures."""
    with figure_style():
        own = ax or plt.subplots(layout="constrained")[1]
        draw(own, found)
    return own


def _line_through_points(ax: Axes, found: Frontier) -> None:
    x, y = (np.array([getattr(point, name) for point in found.points]) for name in "xy")
    ax.scatter(x, y, s=14, color=INK, zorder=3)
    if found.line:
        ends = float(x.min()), float(x.max())
        draw_curve(ax, curve_of_line(found.line, symbol_of(found.y), found.x, *ends), LAW, known=ends)
        legend_above(ax)
    margins(ax, x, y)
    log_axes(ax)
    ax.set(xlabel=label(found.x), ylabel=label(found.y))


def _over_one(ax: Axes, fit: Fit) -> None:
    points = fit.engine.points
    ((name, x),) = points.inputs.items()
    column = points.columns[name]
    low, high = float(x.min()), float(x.max())
    ax.scatter(x, points.y, s=12, color=INK, lw=0, zorder=3)
    curve = curve_of_fit(fit, column, low, 3 * high)
    draw_curve(ax, curve, LAW, known=(low, high))
    margins(ax, np.append(x, 3 * high), np.append(points.y, curve.reach))
    log_axes(ax)
    ax.set(xlabel=label(column), ylabel=label(fit.y, metric=points.metric))
    legend_above(ax)


def _measured_over_fitted(ax: Axes, fit: Fit) -> None:
    """Draw measured against fitted values, coloured by the first input."""
    points = fit.engine.points
    first, values = next(iter(points.inputs.items()))
    fitted = fit.predict({points.columns[name]: x for name, x in points.inputs.items()})
    ends = [float(min(fitted.min(), points.y.min())), float(max(fitted.max(), points.y.max()))]
    colour = colours(values)
    ax.plot(ends, ends, color=LAW, lw=1.0)
    ax.scatter(fitted, points.y, s=12, lw=0, c=[colour[value] for value in values], zorder=3)
    margins(ax, np.array(ends), np.array(ends))
    log_axes(ax)
    said = label(fit.y, metric=points.metric)
    ax.set(xlabel=f"{said}, fitted", ylabel=f"{said}, measured")
    value_bar(ax, colour, label(points.columns[first]))
