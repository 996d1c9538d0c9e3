"""The learning curves of runs that have more than one point."""

from __future__ import annotations

from typing import Any

import pandas as pd

from analysis.report.charts.axes import numbers

LOSSES = ("train_loss", "val_loss", "loss")
"""Of the training examples, the validation and the test set."""

MOST_POINTS = 100_000
"""Points of curves that a page carries; runs beyond them have theirs in their log alone."""


def curves_of(table: pd.DataFrame) -> dict[str, dict[str, list[Any]]]:
    """Return step and losses of each run with two points or more; empty where the table has no steps."""
    if not {"run_id", "step"} <= set(table.columns):
        return {}
    rows = table[table["step"].notna()]
    rows = rows[rows.duplicated("run_id", keep=False)].head(MOST_POINTS).sort_values(["run_id", "step"])
    names = [name for name in LOSSES if name in rows.columns and rows[name].notna().any()]
    return {
        str(run): {name: numbers(points[name].to_numpy(float)) for name in ("step", *names)}
        for run, points in rows.groupby("run_id", sort=False)
    }
