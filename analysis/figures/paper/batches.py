"""Error against batch size, at equal examples and at equal steps (Figure 5 of arXiv 2306.13575)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from analysis.figures.seed_range import SeedRange, draw_range, ends_of, seed_range
from analysis.figures.style import colours, label, legend_above, log_axes, margins, value_bar, value_ticks

NEARLY = 0.05
"""Relative difference of D within which two runs count as equal, as D is rounded to whole batches."""

MIN_BATCHES = 3
"""Minimum number of batch sizes for a line."""

APART = ("family", "width", "depth", "expansion", "data", "D_unique", "augment", "label_smoothing", "optim", "schedule")


@dataclass(frozen=True)
class BatchLine(SeedRange):
    """One number of examples (or steps): the error of each batch size (x) at its best learning rate, and that rate."""

    amount: float
    lr: np.ndarray


@dataclass(frozen=True)
class BatchNumbers:
    """The numbers of one panel. of: examples or steps; at_edge: batch sizes whose best rate is an end of the grid."""

    of: str
    lines: tuple[BatchLine, ...]
    tuned: bool
    at_edge: tuple[float, ...]
    y_label: str


def batch_numbers(rows: pd.DataFrame, y: str, *, of: str) -> BatchNumbers:
    """Collect the lines of equal examples (of="examples") or equal steps (of="steps").

    Where several rates were run, each batch size uses the best one on the validation split, over seeds.
    """
    rows = rows.assign(amount=_amount(rows) if of == "examples" else rows["step"].astype(float))
    keys = [name for name in APART if name in rows.columns]
    lines = []
    for _, group in rows.groupby([*keys, "amount"], dropna=False, sort=True):
        if group["batch"].nunique() >= MIN_BATCHES:
            lines.append(_line(group, y, float(group["amount"].iloc[0])))
    tuned = "lr" in rows.columns and rows["lr"].nunique() > 1
    most = max((len(line.x) for line in lines), default=0)
    lines = [line for line in lines if len(line.x) == most]
    ends = (rows["lr"].min(), rows["lr"].max()) if tuned else ()
    edge = {float(b) for line in lines for b, lr in zip(line.x, line.lr, strict=True) if lr in ends}
    return BatchNumbers(of, tuple(lines), tuned, tuple(sorted(edge)), label(y, rows))


def _amount(rows: pd.DataFrame) -> pd.Series:
    """Return D, with nearly equal values replaced by the largest of them."""
    values = np.sort(rows["D"].astype(float).unique())
    cut = np.diff(np.log(values)) > NEARLY if len(values) > 1 else np.array([], dtype=bool)
    group = np.concatenate([[0], np.cumsum(cut)])
    largest = {value: values[group == number].max() for value, number in zip(values, group, strict=True)}
    return rows["D"].astype(float).map(largest)


def _line(group: pd.DataFrame, y: str, amount: float) -> BatchLine:
    chosen_on = f"val_{y}" if f"val_{y}" in group.columns and group[f"val_{y}"].notna().all() else y
    group = group if "lr" in group.columns else group.assign(lr=0.0)
    best = dict(group.groupby(["batch", "lr"])[chosen_on].mean().groupby("batch").idxmin().tolist())
    line = seed_range(group[group["lr"] == group["batch"].map(best)], "batch", y)
    return BatchLine(**line, amount=amount, lr=np.array([best[batch] for batch in line["x"]]))


def draw_batches(ax: Axes, numbers: BatchNumbers) -> None:
    """Draw the lines with the seeds' range; a star marks the best batch of each."""
    colour = colours(line.amount for line in numbers.lines)
    for line in numbers.lines:
        own, best = colour[line.amount], int(line.mean.argmin())
        draw_range(ax, line, fmt="o-", color=own, ms=3.5, lw=1.1, zorder=3)
        ax.plot(line.x[best], line.mean[best], "*", color=own, mec="black", mew=0.6, ms=10, zorder=4)
    ax.plot([], [], "*", color="white", mec="black", ms=9, ls="none", label=f"best batch at equal {numbers.of}")
    x, y = ends_of(numbers.lines)
    margins(ax, x, y, 0.08)
    log_axes(ax, "y")
    ax.set_xscale("log", base=2)
    value_ticks(ax, x, most=20)
    ax.set(xlabel="batch" + (" (each at its best rate on validation)" if numbers.tuned else ""), ylabel=numbers.y_label)
    value_bar(ax, colour, numbers.of)
    legend_above(ax)
