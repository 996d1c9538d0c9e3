"""Cells: runs that differ only in seed, their means and resampled means."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from analysis.table.columns import require_columns
from analysis.table.select import RECIPE, origins

IDENTITY = (
    *("family", "width", "depth", "expansion", "data", "D_unique", "budget", "N", "D", "C", "run_D", *RECIPE),
    "batch_rule",
)
"""Columns on which the runs of one cell agree; only the seed differs."""


def cells(rows: pd.DataFrame, y: str, x: str = "C") -> pd.DataFrame:
    """Average y over runs that differ only in seed. x: a further column on which they agree.

    Columns of the result: the table's identity columns; y; n (runs); spread (relative standard deviation, NaN for one
    run); cell (numbered in order of appearance); run_ids (list, if there are any).
    """
    keys = _keys(rows, y, x)
    require_columns(rows, [name for name in ("N", "D", "C", y) if name in rows.columns])
    numbers = rows.assign(**{y: pd.to_numeric(rows[y])})
    groups = numbers.groupby(keys, dropna=False, sort=False)
    mean = groups[y].agg(["mean", "std", "size"]).reset_index()
    mean["cell"] = np.arange(len(mean))
    mean = mean.rename(columns={"mean": y, "std": "spread", "size": "n"})
    mean["spread"] = mean["spread"] / mean[y].abs()
    if "run_id" in rows.columns:
        mean["run_ids"] = groups["run_id"].agg(list).to_numpy()
    return mean


def _keys(rows: pd.DataFrame, y: str, x: str = "C") -> list[str]:
    """Return the columns that runs of one cell share."""
    return [name for name in dict.fromkeys([*IDENTITY, x]) if name in rows.columns and name != y]


def has_repeats(rows: pd.DataFrame) -> bool:
    """Tell whether some runs differ only in seed."""
    keys = _keys(rows, "")
    return bool(keys) and bool(rows.duplicated(keys).any())


def seed_deviations(rows: pd.DataFrame, y: str, keys: Sequence[str] | None = None) -> np.ndarray:
    """Return the relative deviations of runs from their cell mean, scaled for the degrees of freedom.

    keys: the columns on which the runs of one cell agree (default: the identity columns). Cells with one run are left
    out; the result may be empty.
    """
    groups = rows.groupby(list(keys or _keys(rows, y)), dropna=False, sort=False)[y]
    mean, n = groups.transform("mean").to_numpy(float), groups.transform("size").to_numpy(float)
    many = n > 1
    return (rows[y].to_numpy(float)[many] / mean[many] - 1) * np.sqrt(n[many] / (n[many] - 1))


def resampled_means(rows: pd.DataFrame, table: pd.DataFrame, y: str, k: int, seed: int, x: str = "C") -> np.ndarray:
    """Resample the runs of each cell with replacement; return the means (k, cells) in the order of the table's cells.

    All milestones of a run, and the stages that started from them, are drawn together. Deviations are scaled for the
    degrees of freedom. Empty (0, cells) where fewer than half of the cells have two runs.
    """
    if k == 0 or (table["n"] > 1).mean() < 0.5:
        return np.empty((0, len(table)))
    keys = _keys(rows, y, x)
    cell = rows.groupby(keys, dropna=False, sort=False).ngroup().to_numpy()
    position = np.empty(len(table), dtype=int)
    position[table["cell"].to_numpy(int)] = np.arange(len(table))
    cell = position[cell]
    run = pd.factorize(origins(rows))[0]
    fixed = [name for name in keys if name not in ("D", "C")]
    whole = [*fixed, *(["D"] if "D" in rows.columns and "run_D" not in rows.columns else [])]
    config = rows.groupby(whole, dropna=False, sort=False).ngroup().to_numpy() if whole else cell
    weights = _weights(run, config, k, np.random.default_rng(seed))[:, run]
    value = rows[y].to_numpy(float)
    order = np.argsort(cell, kind="stable")
    starts = np.searchsorted(cell[order], np.arange(len(table)))
    total = np.add.reduceat((weights * value)[:, order], starts, axis=1)
    number = np.add.reduceat(weights[:, order], starts, axis=1)
    mean, n = table[y].to_numpy(float), table["n"].to_numpy(float)
    drawn = np.divide(total, number, out=np.broadcast_to(mean, total.shape).copy(), where=number > 0)
    return mean + (drawn - mean) * np.sqrt(n / np.maximum(n - 1, 1))


def _weights(run: np.ndarray, config: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
    """Return how often each run is drawn among the runs of its configuration, (k, runs)."""
    n_runs = int(run.max()) + 1
    of_run = np.empty(n_runs, dtype=int)
    of_run[run] = config
    weights = np.zeros((k, n_runs))
    for members in pd.Series(np.arange(n_runs)).groupby(of_run).agg(list):
        n = len(members)
        weights[:, members] = rng.multinomial(n, np.full(n, 1 / n), size=k)
    return weights
