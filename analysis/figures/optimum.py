"""The compute-optimal N*(C) and D*(C), with the law through the usable minima."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from analysis.estimates.isoflop import IsoFlop
from analysis.figures.equation import Curve, curve_of_line, draw_curve
from analysis.figures.style import GREY, INK, LAW, label, legend, log_axes, margins
from analysis.figures.valleys import lost_to
from analysis.fitting.result import Fit

BEYOND = 10.0
"""Factor beyond the largest budget to which the laws are drawn."""


@dataclass(frozen=True)
class OptimumNumbers:
    """The numbers of one panel: usable minima with intervals, unusable ones, the law, and the parametric law's optimum.

    lost: why the unusable minima are left out: few or flat.
    """

    C: np.ndarray
    value: np.ndarray
    ends: np.ndarray
    unusable: np.ndarray
    lost: str
    curve: Curve | None
    parametric: Curve | None
    x_label: str
    y_label: str


def optimum_numbers(found: IsoFlop, rows: pd.DataFrame, *, of: str, law: Fit | None = None) -> OptimumNumbers:
    """Collect the numbers of N*(C) (of="N") or D*(C) (of="D"). law: a Chinchilla fit whose optimum is added."""
    usable = found.usable
    C = np.array([valley.C for valley in usable])
    value = np.array([getattr(valley, of) for valley in usable])
    ends = np.array([valley.N_interval or (np.nan, np.nan) for valley in usable]).reshape(-1, 2)
    if of == "D" and len(usable):
        ends = np.array([valley.N * valley.D for valley in usable])[:, None] / ends[:, ::-1]
    unusable = np.array([(v.C, getattr(v, of)) for v in found.minima if not v.ok]).reshape(-1, 2)
    line = found.N_law if of == "N" else found.D_law
    low, high = min(v.C for v in found.minima), max(v.C for v in found.minima) * BEYOND
    curve = replace(curve_of_line(line, f"{of}^*", "C", low, high), weak=found.status == "weak") if line else None
    parametric = None
    if law is not None and law.allocation is not None:
        grid = np.geomspace(low, high, 30)
        best, weak = dict(zip("ND", law.split(grid), strict=True))[of], law.certificate.status == "weak"
        parametric = Curve(grid, best, None, "Chinchilla law's optimum", "", weak)
    return OptimumNumbers(
        C, value, ends, unusable, lost_to(found.minima), curve, parametric, label("C"), f"optimal {label(of, rows)}"
    )


def draw_optimum(ax: Axes, numbers: OptimumNumbers) -> None:
    """Draw one panel."""
    x, y = [numbers.C, numbers.unusable[:, 0]], [numbers.value, numbers.unusable[:, 1], numbers.ends.ravel()]
    if numbers.curve is not None:
        known = (float(numbers.C.min()), float(numbers.C.max()))
        draw_curve(ax, numbers.curve, LAW, known=known)
        x.append(numbers.curve.x)
        y.append(numbers.curve.reach)
    if numbers.parametric is not None:
        implied = numbers.parametric
        ax.plot(implied.x, implied.y, color=GREY, lw=1.1, ls=(0, (1, 1.5)), zorder=3, label=implied.text)
        x.append(implied.x)
        y.append(implied.y)
    dots: dict[str, Any] = {"ms": 4.5, "zorder": 5}
    if len(numbers.C):
        about = np.nan_to_num(np.abs(numbers.ends.T - numbers.value))
        ax.errorbar(numbers.C, numbers.value, yerr=about, fmt="o", color=INK, lw=1, capsize=2, **dots)
    if len(numbers.unusable):
        hollow: dict[str, Any] = {"mfc": "white", "mec": INK, "ls": "none", "label": f"left out: {numbers.lost}"}
        ax.plot(*numbers.unusable.T, "o", **hollow, **dots)
    margins(ax, np.concatenate(x), np.concatenate(y))
    log_axes(ax)
    ax.set(xlabel=numbers.x_label, ylabel=numbers.y_label)
    legend(ax, "upper left")
