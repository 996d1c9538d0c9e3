"""Training details of runs (steps, rate, epochs, …) that show whether their losses are reliable."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from analysis.table.recognise.examples_seen import EPOCHS
from analysis.table.recognise.statuses import plain_name
from analysis.table.select import as_bool

NAMES = {
    "steps": ("run_steps", "steps", "train_steps", "num_steps", "iterations"),
    "rate": ("lr", "learning_rate"),
    "chance": ("chance",),
}
"""Each detail with the columns that may hold it; the first that exists is used."""
SPAN = 1.25
"""Minimum ratio of D at a run's end to D at the milestone from which its final slope is measured."""


def training_details(
    table: pd.DataFrame, chosen: pd.DataFrame, y: str, run_column: str | None
) -> dict[str, np.ndarray]:
    """Return details of the chosen rows (n,): N, D, steps, rate, chance, epochs, slope; NaN where unknown.

    slope: d log y / d log D over a run's last milestones, for runs at a constant rate.
    """
    found = {name: _positive(chosen[name]) for name in ("N", "D") if name in chosen.columns}
    for what, names in NAMES.items():
        column = next((name for name in names if name in chosen.columns), None)
        if column:
            found[what] = _positive(chosen[column])
    if {"D", "D_unique"} <= set(chosen.columns):
        found["epochs"] = _positive(chosen["D"]) / _positive(chosen["D_unique"])
    elif epochs := [name for name in chosen.columns if EPOCHS.fullmatch(plain_name(name))]:
        found["epochs"] = _positive(chosen[epochs[0]])
    name = run_column or "run_id"
    if name in table.columns and "D" in table.columns and len(table) > len(chosen):
        slopes = _last_slopes(table, y, name)
        found["slope"] = chosen[name].map(slopes).to_numpy(dtype=float)
    return {what: values for what, values in found.items() if np.isfinite(values).any()}


def _last_slopes(table: pd.DataFrame, y: str, run: str) -> dict[Any, float]:
    """Return d log y / d log D over the last milestones of each constant-rate run."""
    rows = table[[run, "D", y]].assign(D=_positive(table["D"]), y=_positive(table[y]))
    if "schedule" in table.columns:
        rows = rows[table["schedule"].map(str).str.match(r"constant\b")]
    if "final" in table.columns:
        rows = rows[rows[run].isin(table.loc[as_bool(table["final"]), run])]
    slopes: dict[Any, float] = {}
    for one, points in rows.dropna(subset=["D", "y"]).sort_values("D").groupby(run, sort=False):
        D, loss = points["D"].to_numpy(), points["y"].to_numpy()
        before = np.flatnonzero(D[-1] >= D * SPAN)
        if len(before) > 1:
            slopes[one] = float(np.log(loss[-1] / loss[before[-1]]) / np.log(D[-1] / D[before[-1]]))
    return slopes


def _positive(column: pd.Series) -> np.ndarray:
    values = pd.to_numeric(column, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    return np.where(values > 0, values, np.nan)
