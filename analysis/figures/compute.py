"""Loss (or error) against compute, coloured by size, with the frontier and the law on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from analysis.estimates.frontier import Frontier
from analysis.estimates.mixed_kinds import best_kinds
from analysis.figures.equation import Curve, draw_curve
from analysis.figures.style import GREY, INK, LAW, colours, label, legend_above, log_axes, margins, value_bar
from analysis.table.cells import cells
from analysis.table.select import RECIPE, with_rules


@dataclass(frozen=True)
class SizeLine:
    """One size: its points in order of C. joined: milestones of one run (else runs of one size)."""

    N: float
    C: np.ndarray
    y: np.ndarray
    joined: bool


@dataclass(frozen=True)
class ComputeNumbers:
    """The figure's numbers: paths of sizes, training curves inside decaying schedules (faint), frontier and law."""

    paths: tuple[SizeLine, ...]
    faint: tuple[SizeLine, ...]
    frontier: Frontier | None
    curve: Curve | None
    x_label: str
    y_label: str


def compute_numbers(
    rows: pd.DataFrame,
    *,
    y: str,
    milestones: pd.DataFrame | None = None,
    inside: pd.DataFrame | None = None,
    frontier: Frontier | None = None,
    curve: Curve | None = None,
) -> ComputeNumbers:
    """Collect the figure's numbers.

    rows: final rows. milestones: final rows and milestones of constant-rate runs, where there are any. inside: training
    curves within decaying schedules, drawn faint.
    """
    used = rows if milestones is None else milestones
    joined = milestones is not None and len(milestones) > len(rows)
    keys = [name for name in ("family", "width", "depth", "expansion", "data", "N", *RECIPE) if name in used.columns]
    if joined and "run_D" in used.columns:
        keys.append("run_D")
    used = best_kinds(used, y, [name for name in ("N", "D", "C") if name in used.columns])
    paths = _paths(with_rules(cells(used, y)), keys, y, joined=joined)
    faint: tuple[SizeLine, ...] = ()
    if inside is not None and not inside.empty and inside["run_id"].nunique() <= 400:
        faint = _paths(inside, ["run_id", "N"], y, joined=True)
    return ComputeNumbers(paths, faint, frontier, curve, label("C", rows), label(y, rows))


def _paths(table: pd.DataFrame, keys: list[str], y: str, *, joined: bool) -> tuple[SizeLine, ...]:
    found = []
    for _, group in table.groupby(keys, dropna=False, sort=False):
        group = group.sort_values("C")
        found.append(SizeLine(float(group["N"].iloc[0]), group["C"].to_numpy(float), group[y].to_numpy(float), joined))
    return tuple(sorted(found, key=lambda path: path.N))


def draw_compute(ax: Axes, numbers: ComputeNumbers) -> None:
    """Draw paths, frontier and law."""
    colour = colours(path.N for path in numbers.paths)
    for path in numbers.faint:
        ax.plot(path.C, path.y, color=colour.get(path.N, GREY), lw=0.5, alpha=0.25, zorder=1)
    many = sum(len(path.C) for path in numbers.paths) > 2000
    for path in numbers.paths:
        ax.plot(path.C, path.y, color=colour[path.N], lw=0.9, alpha=0.75, zorder=3, rasterized=many)
        ax.plot(path.C, path.y, "o", color=colour[path.N], ms=2.4 if path.joined else 3.2, zorder=3, rasterized=many)
    if numbers.frontier is not None:
        x = [point.x for point in numbers.frontier.points]
        y = [point.y for point in numbers.frontier.points]
        hollow = {"mfc": "none", "mec": INK, "mew": 0.9, "ms": 6.5, "ls": "none", "zorder": 5}
        ax.plot(x, y, "o", label=f"frontier ({numbers.frontier.rule})", **hollow)  # type: ignore[arg-type]
    all_C = np.concatenate([path.C for path in numbers.paths])
    all_y = np.concatenate([path.y for path in numbers.paths])
    if numbers.curve is not None:
        draw_curve(ax, numbers.curve, LAW, known=(float(all_C.min()), float(all_C.max())))
        all_C = np.concatenate([all_C, numbers.curve.x])
        all_y = np.concatenate([all_y, numbers.curve.reach])
    margins(ax, all_C, all_y)
    log_axes(ax)
    ax.set(xlabel=numbers.x_label, ylabel=numbers.y_label)
    value_bar(ax, colour, "weights N")
    legend_above(ax)
