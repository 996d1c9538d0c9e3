"""Select tuning runs: rows with several values of a key, and the key as a numeric column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from analysis.errors import UserError, attempt
from analysis.estimates.tuning.optima import Tuned, size_and_length, tuned
from analysis.table.columns import as_numbers
from analysis.table.remarks import with_remarks
from analysis.table.select import RECIPE, select_rows
from analysis.wording import counted, listed

COLUMNS = {"optim.lr": "lr", "train.batch": "batch", "train.label_smoothing": "label_smoothing"}
"""Config keys with a column of their own; others are read from the column `overrides`."""

ENOUGH = 4
"""Minimum number of values of a key at one N and D for the runs to count as tuning runs."""


def trial_rows(
    table: pd.DataFrame, keys: Sequence[str], *, y: str = "val_loss", selection: Mapping[str, Any] | None = None
) -> tuple[tuple[str, ...], pd.DataFrame]:
    """Return the names of the keys' columns and the final rows in which y and the keys are numbers.

    keys: columns, or config keys such as optim.weight_decay; rows without one are left out. Rows may differ in their
    recipe, as that is what is tuned. Raises `UserError` where a key is in no column and no override.
    """
    names = tuple(COLUMNS.get(key, key) if COLUMNS.get(key) in table.columns else key for key in keys)
    for key in names:
        if key not in table.columns:
            table = table.assign(**{key: _from_overrides(table, key)})
    chosen = {**(selection or {}), "pool": RECIPE, "rows": "final"}
    rows, _ = select_rows(table, y=y, **chosen)
    rows = as_numbers(rows, names)
    without = int(rows[list(names)].isna().any(axis=1).sum())
    remark = f"{counted(without, 'row')} without {listed(names)} left out"
    return names, with_remarks(rows.dropna(subset=list(names)), *([remark] if without else []))


def are_trials(table: pd.DataFrame, key: str = "lr") -> bool:
    """Tell whether most runs of a table are tuning runs of a key: several of its values at one N and D."""
    if not {key, "N", "D", "val_loss", "status"} <= set(table.columns):
        return False
    rows = table[table["status"].eq("finished")].dropna(subset=[key, "N", "D"])
    if rows.empty:
        return False
    values = rows.groupby(size_and_length(rows))[key].transform("nunique")
    return bool((values >= ENOUGH).mean() > 0.5)


def tuned_rates(table: pd.DataFrame) -> tuple[Tuned, pd.DataFrame] | None:
    """Return the optima of the learning rate and their rows; None where the table is not of tuning runs."""
    if not are_trials(table):
        return None
    names, rows = trial_rows(table, ["lr"])
    found, _ = attempt(lambda: tuned(rows, keys=names))
    return None if found is None else (found, rows)


def _from_overrides(table: pd.DataFrame, key: str) -> pd.Series:
    """Return the values of a config key from the column `overrides`; raise `UserError` where no row has it."""
    if "overrides" not in table.columns:
        raise UserError(f"found no column {key!r}; the table has {listed(table.columns)}; name another --key")
    found = table["overrides"].astype(str).str.extract(rf"(?:^|\s){key.replace('.', '[.]')}=(\S+)", expand=False)
    if found.isna().all():
        raise UserError(f"found no {key} among the columns or overrides of the table; wanted what was tuned as --key")
    return found
