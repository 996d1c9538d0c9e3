"""Depth and width at equal compute: error against N, one line per depth and one panel per budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
from matplotlib.axes import Axes

from analysis.figures.seed_range import SeedRange, draw_range, seed_range
from analysis.figures.style import colours, label, legend_above, log_axes, margins, value_bar
from analysis.numbers import flops, measured


@dataclass(frozen=True)
class DepthLine(SeedRange):
    """One depth at one budget; x: N."""

    depth: float


@dataclass(frozen=True)
class ShapeNumbers:
    """One panel. best: depth, width, N and y of the best shape; edge: its depth or width is the smallest or largest."""

    budget: float
    lines: tuple[DepthLine, ...]
    best: tuple[float, float, float, float]
    edge: bool
    depths: tuple[float, ...]
    limits: tuple[tuple[float, float], tuple[float, float]]
    y_label: str


def shape_numbers(rows: pd.DataFrame, y: str) -> list[ShapeNumbers]:
    """Collect a panel for each budget from the ends of runs; all panels share their axes."""
    depths = tuple(sorted(float(depth) for depth in rows["depth"].unique()))
    limits = ((rows["N"].min(), rows["N"].max()), (rows[y].min(), rows[y].max()))
    found = []
    for budget, group in rows.groupby("budget"):
        lines = tuple(
            DepthLine(**seed_range(own, "N", y), depth=float(str(depth))) for depth, own in group.groupby("depth")
        )
        means = group.groupby(["depth", "width", "N"])[y].mean().reset_index().astype(float)
        top = means.sort_values(y).iloc[0]
        edge = any(top[name] in (group[name].min(), group[name].max()) for name in ("depth", "width"))
        best = (top["depth"], top["width"], top["N"], top[y])
        found.append(ShapeNumbers(float(str(budget)), lines, best, edge, depths, limits, label(y, rows)))
    return found


def draw_shapes(ax: Axes, numbers: ShapeNumbers) -> None:
    """Draw one budget; a star marks its best shape."""
    colour = colours(numbers.depths)
    for line in numbers.lines:
        draw_range(ax, line, fmt="o-", color=colour[line.depth], ms=3.5, lw=1.1, zorder=3)
    depth, width, N, y = numbers.best
    text = f"best: depth {depth:.0f}, width {width:.0f}"
    ax.plot(N, y, "*", color=colour[depth], mec="black", mew=0.6, ms=11, ls="none", zorder=4, label=text)
    margins(ax, *numbers.limits, 0.08)
    log_axes(ax)
    ax.set(xlabel="weights N", ylabel=numbers.y_label)
    value_bar(ax, numbers.depths, "depth")
    legend_above(ax, f"C = {flops(numbers.budget)} FLOPs")


def best_words(panels: Sequence[ShapeNumbers]) -> str:
    """Return a sentence with each budget's best shape."""
    words = []
    for one in panels:
        depth, width, _, y = one.best
        edge = ", an edge of the grid" if one.edge else ""
        words.append(f"{flops(one.budget)} FLOPs: depth {depth:.0f}, width {width:.0f} ({measured(y)}{edge})")
    return "Best: " + "; ".join(words) + "."
