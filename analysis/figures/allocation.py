"""The optimal model and data set against compute at a fixed number of epochs (Figure 8, arXiv 2306.13575)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from analysis.estimates.conventions import Convention, counted_by
from analysis.estimates.frontier import MIN_POINTS, frontier
from analysis.estimates.powerline import power_line
from analysis.figures.equation import Curve, curve_of_line, draw_curve
from analysis.figures.style import INK, LAW, legend_above, log_axes, margins
from analysis.numbers import number


@dataclass(frozen=True)
class AllocationNumbers:
    """The numbers of one panel: the best N (or examples) at each compute, those at an edge of the grid, the line."""

    C: np.ndarray
    value: np.ndarray
    edge: np.ndarray
    curve: Curve | None
    x_label: str
    y_label: str


def allocation_numbers(
    rows: pd.DataFrame, y: str, convention: Convention, *, epochs: float, level: float = 0.95
) -> tuple[AllocationNumbers, AllocationNumbers]:
    """Collect the panels of N and of examples from rows of `epochs` epochs; `Refusal` if the frontier is too short.

    The frontier is the Pareto set, as in the paper. Points with the smallest or largest model or data set are left out
    of the lines, which need three sizes of both among the rest. At fixed epochs C is proportional to N x examples, so
    the two exponents sum to one.
    """
    rows = counted_by(rows, convention)
    front = frontier(rows, y=y, rule="pareto", resamples=0)
    C, N, D = (np.array([getattr(point, name) for point in front.points]) for name in ("x", "N", "D"))
    edge = np.isin(N, (rows["N"].min(), rows["N"].max())) | np.isin(D, (rows["D"].min(), rows["D"].max()))
    moves = min(len(np.unique(N[~edge])), len(np.unique(D[~edge]))) >= MIN_POINTS
    found = []
    for symbol, value, title in (
        ("N", N, f"best {convention.N_label}"),
        ("D", D / epochs, f"best data set (examples), {number(epochs)} epochs"),
    ):
        line = power_line(C[~edge], value[~edge], level=level) if moves else None
        curve = curve_of_line(line, f"{symbol}^*", "C", float(C.min()), float(C.max())) if line else None
        found.append(AllocationNumbers(C, value, edge, curve, convention.C_label, title))
    return found[0], found[1]


def draw_allocation(ax: Axes, numbers: AllocationNumbers) -> None:
    """Draw one panel; hollow points are the smallest or largest size at their compute and are left out of the line."""
    if numbers.curve is not None:
        inside = numbers.C[~numbers.edge]
        draw_curve(ax, numbers.curve, LAW, known=(float(inside.min()), float(inside.max())))
    for mask, face, name in (
        (~numbers.edge, INK, "best at its compute"),
        (numbers.edge, "white", "at the grid's edge"),
    ):
        if mask.any():
            style = {"mfc": face, "mec": INK, "ms": 4.5, "ls": "none", "zorder": 5}
            ax.plot(numbers.C[mask], numbers.value[mask], "o", label=name, **style)  # type: ignore[arg-type]
    margins(ax, numbers.C, numbers.value, 0.1)
    log_axes(ax)
    ax.set(xlabel=numbers.x_label, ylabel=numbers.y_label)
    legend_above(ax)
