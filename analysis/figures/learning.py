"""Learning curves: training and validation loss over the steps, a small panel for each model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from analysis.figures.style import GREY, HUES, legend, log_axes, margins
from analysis.numbers import count

MOST_PANELS = 12
"""Models that are shown; of more, that many from the smallest to the largest."""

MOST_RUNS = 12
"""Runs of one model that are shown: the shortest, the longest and some in between."""


@dataclass(frozen=True)
class LearningPanel:
    """One model: its title, and of each run the steps, the training and the validation loss."""

    title: str
    curves: tuple[tuple[np.ndarray, np.ndarray, np.ndarray], ...]


def learning_numbers(table: pd.DataFrame) -> list[LearningPanel]:
    """Collect the panels from the rows of runs with three points or more; empty where there are none."""
    needed = {"run_id", "step", "train_loss", "N"}
    if not needed <= set(table.columns):
        return []
    rows = table[table["train_loss"].notna() & (table["step"] > 0)]
    rows = rows[rows.groupby("run_id")["step"].transform("size") >= 3]
    sizes = sorted(rows["N"].unique())
    return [_panel(rows[rows["N"] == size], float(size)) for size in _some(sizes, MOST_PANELS)]


def _panel(rows: pd.DataFrame, N: float) -> LearningPanel:
    ranked = rows.groupby("run_id")["step"].max().sort_values(kind="stable").index
    curves = []
    for run in _some(list(ranked), MOST_RUNS):
        own = rows[rows["run_id"] == run].sort_values("step")
        held = own["val_loss"] if "val_loss" in own.columns else pd.Series(np.nan, index=own.index)
        curves.append((own["step"].to_numpy(float), own["train_loss"].to_numpy(float), held.to_numpy(float)))
    width = rows["width"].iloc[0] if "width" in rows.columns and rows["width"].nunique() == 1 else None
    said = f"N = {count(N)}" if width is None or width != width else f"width {width:.0f} (N = {count(N)})"
    return LearningPanel(said, tuple(curves))


def _some(values: list[Any], most: int) -> list[Any]:
    """Return so many values at the most, evenly chosen, both ends among them."""
    if len(values) <= most:
        return values
    return [values[i] for i in np.unique(np.linspace(0, len(values) - 1, most).round().astype(int))]


def draw_learning(ax: Axes, panel: LearningPanel) -> None:
    """Draw one panel: training loss grey, validation loss blue."""
    for i, (step, train, held) in enumerate(panel.curves):
        ax.plot(step, train, color=GREY, lw=0.8, zorder=2, label=None if i else "training")
        ax.plot(step, held, "o-", color=HUES[0], lw=0.9, ms=1.8, zorder=3, label=None if i else "validation")
    every = [np.concatenate(values) for values in zip(*panel.curves, strict=True)]
    margins(ax, every[0], np.concatenate(every[1:]))
    log_axes(ax)
    ax.set_title(panel.title, fontsize=9)
    ax.set_xlabel("step")
    ax.set_ylabel("loss")
    legend(ax, "best", fontsize=7)
