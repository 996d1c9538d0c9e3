"""Learning curves: training and validation loss over steps, with one small panel per model.

A run with enough points uses those; for others the log has losses on a few examples.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from analysis.figures.style import GREY, HUES, label, legend, log_axes, margins
from analysis.numbers import count
from analysis.table.results import find_runs, read_logs
from analysis.table.select import OWN_TASK

LOSSES = ("train_loss", "val_loss", "loss")
"""Losses on the training, validation and test examples; a log has the first two, computed from a few examples."""

ENOUGH = 3
"""Minimum number of points of a curve."""

MOST_LOGS = 5_000
"""Maximum number of logs read; the curves of further runs are in their logs alone."""

MOST_PANELS = 12
"""Maximum number of models shown; of more, an even choice from smallest to largest."""

MOST_RUNS = 12
"""Maximum number of runs shown per model: the shortest, the longest and some in between."""


@dataclass(frozen=True)
class LearningPanel:
    """One model: its title, and of each run the steps, the training and the validation loss."""

    title: str
    y_label: str
    curves: tuple[tuple[np.ndarray, np.ndarray, np.ndarray], ...]


def learning_curves(table: pd.DataFrame, source: Path | None) -> pd.DataFrame:
    """Return run_id, step and losses, one row per point, for the runs of a table that have a curve.

    source: the results folder that the table was read from; None, or a file, for a table without logs.
    """
    columns = ["run_id", "step", *LOSSES]
    if not {"run_id", "step"} <= set(table.columns):
        return pd.DataFrame(columns=columns)
    rows = table[table["step"] > 0].reindex(columns=columns)
    own = rows[rows.groupby("run_id")["step"].transform("size") >= ENOUGH]
    runs = find_runs(source) if source is not None and source.is_dir() else None
    if runs is None:
        return own
    others = table.loc[table["step"].notna() & ~table["run_id"].isin(own["run_id"]), "run_id"].unique()
    logs = read_logs(runs, [str(run) for run in others[:MOST_LOGS]])
    logged = pd.DataFrame(_noted(logs), columns=columns[:-1])
    return pd.concat([own, logged], ignore_index=True) if len(logged) else own


def _noted(logs: Mapping[str, list[dict[str, Any]]]) -> Iterator[tuple[Any, ...]]:
    """Yield run_id, step, training and validation loss of each line of a curve."""
    for run_id, lines in logs.items():
        found = [line for line in lines if "final" not in line]
        if len(found) >= ENOUGH:
            yield from ((run_id, line["step"], line.get("train_loss"), line.get("val_loss")) for line in found)


def learning_numbers(table: pd.DataFrame, curves: pd.DataFrame) -> list[LearningPanel]:
    """Collect the panels of a table's runs from their curves; empty where there are none."""
    if curves.empty or "N" not in table.columns:
        return []
    if "task" in table.columns and (own := table["task"] == OWN_TASK).any():
        table = table[own]  # the losses of stages are on other data
    known = [name for name in ("N", "width") if name in table.columns]
    rows = curves[curves["train_loss"].notna()]
    rows = rows.merge(table[["run_id", *known]].drop_duplicates("run_id"), on="run_id")
    sizes = sorted(rows["N"].dropna().unique())
    y_label = label("loss", table).removeprefix("test ")
    return [_panel(rows[rows["N"] == size], float(size), y_label) for size in _some(sizes, MOST_PANELS)]


def _panel(rows: pd.DataFrame, N: float, y_label: str) -> LearningPanel:
    ranked = rows.groupby("run_id")["step"].max().sort_values(kind="stable").index
    curves = []
    for run in _some(list(ranked), MOST_RUNS):
        own = rows[rows["run_id"] == run].sort_values("step")
        curves.append(tuple(own[name].to_numpy(float) for name in ("step", "train_loss", "val_loss")))
    width = rows["width"].iloc[0] if "width" in rows.columns and rows["width"].nunique() == 1 else None
    title = f"N = {count(N)}" if pd.isna(width) else f"width {width:.0f} (N = {count(N)})"
    return LearningPanel(title, y_label, tuple(curves))


def _some(values: list[Any], most: int) -> list[Any]:
    """Return at most `most` values, evenly chosen and including both ends."""
    if len(values) <= most:
        return values
    return [values[i] for i in np.unique(np.linspace(0, len(values) - 1, most).round().astype(int))]


def draw_learning(ax: Axes, panel: LearningPanel, *, keyed: bool = True) -> None:
    """Draw one panel: training loss grey, validation loss blue; keyed: with a legend."""
    for i, (step, train, held) in enumerate(panel.curves):
        ax.plot(step, train, color=GREY, lw=0.8, zorder=2, label=None if i else "training")
        ax.plot(step, held, "o-", color=HUES[0], lw=0.9, ms=1.8, zorder=3, label=None if i else "validation")
    every = [np.concatenate(values) for values in zip(*panel.curves, strict=True)]
    margins(ax, every[0], np.concatenate(every[1:]))
    log_axes(ax)
    ax.set_title(panel.title, fontsize=9)
    ax.set(xlabel="step", ylabel=panel.y_label)
    if keyed:
        legend(ax, "best", fontsize=7)
