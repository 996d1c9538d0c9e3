"""Draw one result for a notebook: a fit and its runs, its residuals, a frontier, isoFLOP curves, a comparison."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np

from analysis.figures.comparison import comparison_numbers, draw_multiplier
from analysis.figures.equation import curve_of_fit, curve_of_line, draw_curve, symbol_of
from analysis.figures.residuals import draw_residuals, residual_numbers
from analysis.figures.style import INK, LAW, colours, figure_style, label, legend_above, log_axes, margins, value_bar

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from analysis.estimates.frontier import Frontier
    from analysis.estimates.isoflop import IsoFlop
    from analysis.estimates.multiplier import Comparison
    from analysis.fitting.result import Fit


def plot_fit(fit: Fit, ax: Axes | None = None) -> Axes:
    """Draw the runs of a fit and its law: the curve and its band over one variable; what was
    measured over what is fitted where there are more."""
    with figure_style():
        ax = ax or plt.subplots(layout="constrained")[1]
        if len(fit.engine.points.inputs) == 1:
            _over_one(fit, ax)
        else:
            _measured_over_fitted(fit, ax)
    return ax


def plot_residuals(fit: Fit, ax: Axes | None = None) -> Axes:
    """Draw the residuals of a fit in per cent."""
    with figure_style():
        ax = ax or plt.subplots(layout="constrained")[1]
        draw_residuals(ax, residual_numbers(fit))
    return ax


def plot_frontier(found: Frontier, ax: Axes | None = None) -> Axes:
    """Draw the points of a frontier and the line through them."""
    x, y = (np.array([getattr(point, name) for point in found.points]) for name in "xy")
    with figure_style():
        ax = ax or plt.subplots(layout="constrained")[1]
        ax.scatter(x, y, s=14, color=INK, zorder=3)
        if found.line:
            curve = curve_of_line(found.line, symbol_of(found.y), found.x, float(x.min()), float(x.max()))
            draw_curve(ax, curve, LAW, known=(float(x.min()), float(x.max())))
            legend_above(ax)
        margins(ax, x, y)
        log_axes(ax)
        ax.set_xlabel(label(found.x))
        ax.set_ylabel(label(found.y))
    return ax


def plot_isoflop(found: IsoFlop, ax: Axes | None = None) -> Axes:
    """Draw the isoFLOP curve of each budget: its means, the fitted curve, and the minimum if usable."""
    with figure_style():
        ax = ax or plt.subplots(layout="constrained")[1]
        colour = colours(minimum.budget for minimum in found.minima)
        for minimum in found.minima:
            own = colour[minimum.budget]
            ax.plot(minimum.sizes, minimum.means, "o", ms=3.2, color=own, zorder=3)
            ax.plot(*minimum.curve, color=own, lw=1.0)
            if minimum.ok:
                ax.plot(minimum.N, minimum.y, "*", ms=9, color=own, mec=INK, mew=0.5, zorder=4)
        every = found.minima
        margins(ax, np.concatenate([m.sizes for m in every]), np.concatenate([m.means for m in every]))
        log_axes(ax)
        ax.set_xlabel(label("N"))
        ax.set_ylabel(label(found.y))
        value_bar(ax, colour, label("C"))
    return ax


def plot_comparison(found: Comparison, ax: Axes | None = None) -> Axes:
    """Draw the compute multiplier of a comparison over compute."""
    with figure_style():
        ax = ax or plt.subplots(layout="constrained")[1]
        draw_multiplier(ax, comparison_numbers(found))
    return ax


def _over_one(fit: Fit, ax: Axes) -> None:
    points = fit.engine.points
    (name, x), column = next(iter(points.inputs.items())), next(iter(points.columns.values()))
    assert name in points.columns
    low, high = float(x.min()), float(x.max())
    ax.scatter(x, points.y, s=12, color=INK, lw=0, zorder=3)
    curve = curve_of_fit(fit, column, low, 3 * high)
    draw_curve(ax, curve, LAW, known=(low, high))
    margins(ax, np.append(x, 3 * high), np.append(points.y, curve.reach))
    log_axes(ax)
    ax.set_xlabel(label(column))
    ax.set_ylabel(label(fit.y, metric=points.metric))
    legend_above(ax)


def _measured_over_fitted(fit: Fit, ax: Axes) -> None:
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
    ax.set_xlabel(f"{said}, fitted")
    ax.set_ylabel(f"{said}, measured")
    value_bar(ax, colour, label(points.columns[first]))
