"""Two frontiers, and the compute multiplier between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from analysis.estimates.multiplier import Comparison
from analysis.estimates.pairs_of_refits import FAR, FARTHEST, computes, frontier_of, log_multipliers, recentred
from analysis.figures.equation import Curve, draw_curve
from analysis.figures.style import (
    GREY,
    HUES,
    INK,
    MARKERS,
    label,
    legend_above,
    legend_below,
    literal,
    log_axes,
    margins,
)
from analysis.fitting.intervals import percentile
from analysis.numbers import estimated_times, flops, interval, percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from analysis.fitting.result import Fit
    from analysis.laws.base import Array

AHEAD, BEYOND = 3.0, 10.0
"""Multiples of the largest C up to which a frontier and the multiplier are drawn (the latter past its reversal)."""
WIDEST = 1e3
"""Multipliers above this, or below its inverse, are too uncertain to be drawn."""
LONGEST = 26
"""Maximum length of both names in the axis label; longer ones are in the legend of the frontiers."""
ROOM = 1.3
"""Multiples of the interval within the runs up to which the axis limits follow it beyond them."""


@dataclass(frozen=True)
class Side:
    """One side: its runs, its fitted frontier and its range of C."""

    name: str
    C: Array
    y: Array
    frontier: Curve
    known: tuple[float, float]


@dataclass(frozen=True)
class ComparisonNumbers:
    """The figure's numbers: both sides, the multiplier over C, the range with runs, its mean, and the reversal."""

    sides: tuple[Side, Side]
    multiplier: Curve
    known: tuple[float, float]
    turns: float | None
    y_label: str

    @property
    def axis(self) -> str:
        """Return the axis label of the multiplier."""
        of = " over ".join(side.name for side in self.sides)
        return "compute multiplier" + (f"\n{of}" if len(of) <= LONGEST else "")


def comparison_numbers(found: Comparison) -> ComparisonNumbers:
    """Collect the figure's numbers from a comparison and its fits."""
    one, two = found.fits
    sides = (_side(literal(found.first), one), _side(literal(found.second), two))
    low, high = found.C_range
    differs = found.interval[0] > 1 or found.interval[1] < 1
    turns = found.turns if differs else None
    grid = np.geomspace(low, min(max(BEYOND * high, AHEAD * (turns or high)), FAR * high), 200)
    best, samples = log_multipliers(found.fits, np.log(grid), sides[0].known)
    ends = percentile(recentred(best, samples).T, found.level)
    ends = np.exp(np.clip(ends, -np.log(WIDEST), np.log(WIDEST)))
    values = np.where(np.abs(best) < np.log(WIDEST), np.exp(np.clip(best, -FARTHEST, FARTHEST)), np.nan)
    average = f"{estimated_times(found.multiplier)} {interval(found.interval, estimated_times)} on average"
    curve = Curve(grid, values, (ends[:, 0], ends[:, 1]), average, f"({percent(found.level)})")
    y_label = label(found.y, metric=one.engine.points.metric)
    return ComparisonNumbers(sides, curve, found.C_range, turns, y_label)


def _side(name: str, fit: Fit) -> Side:
    """Compute the frontier of one fit with its band, over its range of C and somewhat beyond."""
    C = computes(fit)
    known = (float(C.min()), float(C.max()))
    grid = np.geomspace(known[0], AHEAD * known[1], 100)
    best, refits = (frontier_of(fit, theta, np.log(grid)) for theta in (fit.engine.column, fit.engine.refits))
    ends = percentile(refits.T, fit.level)
    low, high = (np.where(np.isfinite(side), np.exp(side), np.nan) for side in ends.T)
    return Side(name, C, np.asarray(fit.engine.points.y), Curve(grid, np.exp(best[0]), (low, high), name, ""), known)


def draw_both(ax: Axes, numbers: ComparisonNumbers) -> None:
    """Draw the runs of both faint, and each frontier with its interval, dashed beyond the runs."""
    for side, hue, marker in zip(numbers.sides, HUES, MARKERS, strict=False):
        ax.plot(side.C, side.y, marker, color=hue, alpha=0.25, ms=3, ls="none", mew=0, zorder=2)
        draw_curve(ax, side.frontier, hue, known=side.known)
    C = np.concatenate([np.append(side.C, side.frontier.x) for side in numbers.sides])
    margins(ax, C, np.concatenate([np.append(side.y, side.frontier.reach) for side in numbers.sides]))
    legend_below(ax, room=0.1)
    log_axes(ax)
    ax.set(xlabel=label("C"), ylabel=numbers.y_label)


def draw_multiplier(ax: Axes, numbers: ComparisonNumbers) -> None:
    """Draw the multiplier over C of the second with its interval, dashed beyond the runs, and the reversal."""
    curve, (_, high) = numbers.multiplier, numbers.known
    assert curve.band is not None
    ax.axhline(1.0, color=INK, lw=0.9, zorder=1)
    draw_curve(ax, curve, HUES[3], known=numbers.known)  # the colour of neither side
    if numbers.turns is not None:
        text = f"the order may turn from {flops(numbers.turns)}"
        ax.axvline(numbers.turns, color=GREY, lw=1.0, ls=":", zorder=3, label=text)
    ends, inside = np.stack(curve.band), curve.x <= high
    least, most = ends[:, inside].min() / ROOM, ends[:, inside].max() * ROOM
    margins(ax, curve.x, np.concatenate([np.clip([curve.y, *ends], least, most).ravel(), [0.97, 1.03]]))
    log_axes(ax)
    ax.set(xlabel=f"compute C of {numbers.sides[1].name} (FLOPs)", ylabel=numbers.axis)
    legend_above(ax)
