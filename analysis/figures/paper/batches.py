"""The error against the batch, at equal examples and at equal steps (Figure 5 of arXiv 2306.13575)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from analysis.figures.style import colours, label, legend_above, log_axes, margins, value_bar, value_ticks

NEARLY = 0.05
"""Relative difference of D within which two runs have seen as many examples: batches do not divide all alike."""

MIN_BATCHES = 3
"""Batches that a line wants."""

APART = ("family", "width", "depth", "expansion", "data", "D_unique", "augment", "label_smoothing", "optim", "schedule")


@dataclass(frozen=True)
class Line:
    """One amount of examples (or steps): for each batch the mean error over seeds at its best rate, and that rate."""

    amount: float
    batch: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    lr: np.ndarray


@dataclass(frozen=True)
class BatchNumbers:
    """What is drawn in one panel. of: examples or steps; at_edge: batches whose best rate is an end of those tried."""

    of: str
    lines: tuple[Line, ...]
    tuned: bool
    at_edge: tuple[float, ...]
    y_label: str


def batch_numbers(rows: pd.DataFrame, y: str, *, of: str) -> BatchNumbers:
    """Collect the lines of equal examples (of="examples") or equal steps (of="steps").

    Where several rates were run, each batch has the one that is best on the validation split, over seeds.
    """
    rows = rows.assign(amount=_amount(rows) if of == "examples" else rows["step"].astype(float))
    keys = [name for name in APART if name in rows.columns]
    lines = []
    for _, group in rows.groupby([*keys, "amount"], dropna=False, sort=True):
        if group["batch"].nunique() >= MIN_BATCHES:
            lines.append(_line(group, y, float(group["amount"].iloc[0])))
    tuned = "lr" in rows.columns and rows["lr"].nunique() > 1
    most = max((len(line.batch) for line in lines), default=0)
    lines = [line for line in lines if len(line.batch) == most]
    ends = (rows["lr"].min(), rows["lr"].max()) if tuned else ()
    edge = {float(b) for line in lines for b, lr in zip(line.batch, line.lr, strict=True) if lr in ends}
    return BatchNumbers(of, tuple(lines), tuned, tuple(sorted(edge)), label(y, rows))


def _amount(rows: pd.DataFrame) -> pd.Series:
    """Return D, moved to the largest of those that differ by less than `NEARLY`."""
    values = np.sort(rows["D"].astype(float).unique())
    cut = np.diff(np.log(values)) > NEARLY if len(values) > 1 else np.array([], dtype=bool)
    group = np.concatenate([[0], np.cumsum(cut)])
    largest = {value: values[group == number].max() for value, number in zip(values, group, strict=True)}
    return rows["D"].astype(float).map(largest)


def _line(group: pd.DataFrame, y: str, amount: float) -> Line:
    chosen_on = f"val_{y}" if f"val_{y}" in group.columns and group[f"val_{y}"].notna().all() else y
    found = []
    for batch, runs in group.groupby("batch"):
        by_rate = runs.groupby("lr") if "lr" in runs.columns else runs.groupby("batch")
        lr = by_rate[chosen_on].mean().idxmin()
        best = by_rate.get_group(lr)[y]
        found.append((batch, best.mean(), best.min(), best.max(), lr))
    return Line(amount, *(np.array(column, dtype=float) for column in zip(*found, strict=True)))


def draw_batches(ax: Axes, numbers: BatchNumbers) -> None:
    """Draw the lines with the seeds' range; a star marks the best batch of each."""
    colour = colours(line.amount for line in numbers.lines)
    for line in numbers.lines:
        own = colour[line.amount]
        about = np.stack([line.mean - line.low, line.high - line.mean])
        ax.errorbar(line.batch, line.mean, yerr=about, fmt="o-", color=own, ms=3.5, lw=1.1, zorder=3)
        best = int(line.mean.argmin())
        ax.plot(line.batch[best], line.mean[best], "*", color=own, mec="black", mew=0.6, ms=10, zorder=4)
    ax.plot([], [], "*", color="white", mec="black", ms=9, ls="none", label=f"best batch at equal {numbers.of}")
    margins(
        ax,
        np.concatenate([line.batch for line in numbers.lines]),
        np.concatenate([part for line in numbers.lines for part in (line.low, line.high)]),
        0.08,
    )
    log_axes(ax, "y")
    ax.set_xscale("log", base=2)
    value_ticks(ax, (batch for line in numbers.lines for batch in line.batch), most=20)
    ax.set_xlabel("batch" + (" (each at its best rate on validation)" if numbers.tuned else ""))
    ax.set_ylabel(numbers.y_label)
    value_bar(ax, colour, numbers.of)
    legend_above(ax)
