"""The runs behind a figure's means: their positions, names and colour values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Seeds:
    """One point per run (n,): its id (or its row's label), its position on the axes, and the value for its colour."""

    runs: tuple[str, ...]
    x: np.ndarray
    y: np.ndarray
    by: np.ndarray | None = None


def seeds_of(rows: pd.DataFrame, x: str, y: str, by: str | pd.Series | None = None) -> Seeds:
    """Return the runs of rows. x, y: columns on the axes; by: the column, or the values, for the colour."""
    colour = rows[by] if isinstance(by, str) else by
    values = None if colour is None else colour.to_numpy(float)
    return Seeds(run_names(rows), rows[x].to_numpy(float), rows[y].to_numpy(float), values)


def run_names(rows: pd.DataFrame) -> tuple[str, ...]:
    """Name the run of each row: its id, or the label of the row in a table without ids."""
    return tuple(map(str, rows["run_id"] if "run_id" in rows.columns else rows.index))
