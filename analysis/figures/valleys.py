"""isoFLOP curves: loss against N at each compute budget, with the minima."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from analysis.estimates.isoflop import IsoFlop, Minimum
from analysis.figures.style import INK, colours, label, legend_above, log_axes, margins, value_bar


@dataclass(frozen=True)
class ValleyNumbers:
    """The figure's numbers: the isoFLOP curves and the labels."""

    valleys: tuple[Minimum, ...]
    x_label: str
    y_label: str


def valley_numbers(found: IsoFlop, rows: pd.DataFrame | None = None) -> ValleyNumbers:
    """Collect the figure's numbers. rows: whose metric and units the labels name."""
    return ValleyNumbers(found.minima, label("N", rows), label(found.y, rows))


def lost_to(minima: Sequence[Minimum]) -> str:
    """List the reasons why minima are not usable: edge, few, flat."""
    return " or ".join(sorted({minimum.status for minimum in minima if not minimum.ok}))


def draw_valleys(ax: Axes, numbers: ValleyNumbers) -> None:
    """Draw each budget's means and curve; filled stars are minima, hollow ones are edge, flat or few."""
    colour = colours(valley.budget for valley in numbers.valleys)
    for valley in numbers.valleys:
        own = colour[valley.budget]
        ax.plot(valley.sizes, valley.means, "o", color=own, ms=3.4, zorder=3, ls=":", lw=0.6)
        ax.plot(*valley.curve, color=own, lw=1.5, zorder=2)
        if valley.ok:
            ax.plot(valley.N, valley.y, "*", color=own, mec=INK, mew=0.7, ms=11, zorder=5)
        else:
            ax.plot(valley.N, valley.y, "*", mfc="white", mec=own, mew=1.1, ms=11, zorder=5)
    usable = [valley for valley in numbers.valleys if valley.ok]
    if len(usable) > 1:
        ax.plot([v.N for v in usable], [v.y for v in usable], color=INK, lw=0.8, ls=(0, (2, 2)), zorder=4)
    if usable:
        ax.plot([], [], "*", color="#9aa0a6", mec=INK, mew=0.7, ms=9, ls="none", label="minimum")
    if len(usable) < len(numbers.valleys):
        ax.plot([], [], "*", mfc="white", mec=INK, ms=9, ls="none", label=f"not usable: {lost_to(numbers.valleys)}")
    margins(ax, np.concatenate([v.sizes for v in numbers.valleys]), np.concatenate([v.means for v in numbers.valleys]))
    log_axes(ax)
    ax.set(xlabel=numbers.x_label, ylabel=numbers.y_label)
    value_bar(ax, colour, "budget (FLOPs)", powers=True)
    legend_above(ax)
