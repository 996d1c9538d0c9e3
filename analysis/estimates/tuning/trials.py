"""Select tuning runs: rows with several values of a key, and the key as a numeric column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from analysis.errors import Refusal, UserError, attempt
from analysis.estimates.tuning.optima import Tuned, size_and_length, tuned
from analysis.table.columns import as_numbers
from analysis.table.remarks import with_remarks
from analysis.table.select import RECIPE, select_rows
from analysis.wording import counted, listed

COLUMNS = {"optim.lr": "lr", "train.batch": "batch", "train.label_smoothing": "label_smoothing"}
"""Config keys with a column of their own; others are read from the column `overrides`."""

ENOUGH = 4
"""Minimum number of learning rates at one N and D for the runs to count as tuning runs."""


def trial_rows(
    table: pd.DataFrame, keys: Sequence[str], *, y: str = "val_loss", selection: Mapping[str, Any] | None = None
) -> tuple[tuple[str, ...], pd.DataFrame]:
    """Return the names of the keys' columns and the rows in which y and the keys are numbers.

    keys: columns, or config keys such as optim.weight_decay; rows without one are left out. Raises `UserError` where a
    key is in no column and no override, `Refusal` where runs of one size and length differ in more of their recipe.
    """
    names = tuple(COLUMNS.get(key, key) if COLUMNS.get(key) in table.columns else key for key in keys)
    for key in names:
        if key not in table.columns:
            table = table.assign(**{key: _from_overrides(table, key)})
    chosen = dict(selection or {})
    rows, _ = select_rows(table, y=y, **{**chosen, "pool": (*RECIPE, *chosen.get("pool", ()))})
    rows = as_numbers(rows, names)
    without = int(rows[list(names)].isna().any(axis=1).sum())
    remark = f"{counted(without, 'row')} without {listed(names)} left out"
    rows = with_remarks(rows.dropna(subset=list(names)), *([remark] if without else []))
    differ = {"lr_rule", *(COLUMNS.get(key) or key.partition(".")[0] for key in keys)}  # optim for optim.weight_decay
    _one_recipe(rows, names, {*chosen.get("pool", ()), *differ})
    return names, rows


def _one_recipe(rows: pd.DataFrame, names: Sequence[str], pool: set[str]) -> None:
    """Raise `Refusal` where runs of one size and length are of several recipes, in columns that pool does not name.

    A column with a value for each value of the keys follows them by a rule, so that it is no kind of run.
    """
    settings = size_and_length(rows)
    tried = rows.groupby(settings)[list(names)].apply(lambda group: len(group.drop_duplicates()))
    for column in RECIPE:
        if column in rows.columns and column not in pool:
            values = rows[column].astype(object).where(rows[column].notna(), "unset").astype(str)
            kinds = values.groupby(settings).nunique()
            if ((kinds > 1) & (kinds < tried)).any():
                raise Refusal(
                    f"runs of one size and length differ in {column} ({listed(sorted(set(values)), 4)}), and each kind "
                    f"may have its own optimum; choose one with --where, or pool them with --pool {column}"
                )


def are_trials(table: pd.DataFrame) -> bool:
    """Tell whether most runs of a table are tuning runs: several learning rates at one N and D."""
    if not {"lr", "N", "D", "val_loss", "status"} <= set(table.columns):
        return False
    rows = table[table["status"].eq("finished")].dropna(subset=["lr", "N", "D"])
    if rows.empty:
        return False
    values = rows.groupby(size_and_length(rows))["lr"].transform("nunique")
    return bool((values >= ENOUGH).mean() > 0.5)


def tuned_rates(table: pd.DataFrame) -> tuple[Tuned, pd.DataFrame] | None:
    """Return the optima of the learning rate and their rows; None where the table is not of tuning runs."""
    if not are_trials(table):
        return None
    rows, _ = attempt(lambda: trial_rows(table, ["lr"])[1])
    found, _ = attempt(lambda: tuned(rows)) if rows is not None else (None, "")
    return None if rows is None or found is None else (found, rows)


def _from_overrides(table: pd.DataFrame, key: str) -> pd.Series:
    """Return the values of a config key from the column `overrides`; raise `UserError` where no row has it."""
    if "overrides" not in table.columns:
        raise UserError(f"found no column {key!r}; the table has {listed(table.columns)}; name another --key")
    found = table["overrides"].astype(str).str.extract(rf"(?:^|\s){key.replace('.', '[.]')}=(\S+)", expand=False)
    if found.isna().all():
        raise UserError(f"found no {key} among the columns or overrides of the table; wanted what was tuned as --key")
    return found
