"""Columns of an external table that have our names: read as numbers, or renamed where they hold text."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.table.columns import parse_numbers
from analysis.table.recognise.written_numbers import read_numbers
from analysis.table.remarks import with_moved, with_remarks

NUMBERS = {name: f"{name}_in_words" for name in ("budget", "epochs", "step", "loss_se", "error_se", "seconds")}
NUMBERS |= {"error": "error_message"}
"""Our columns that are used automatically; each with the name that it gets in a table where it holds text."""
COUNTED = ("N", "D", "C", "D_unique", "width", "depth", "loss")
"""Columns read as written numbers (1.3B); with other text they are kept, and refused where used."""
POSITIVE = ("budget", "epochs")
"""Columns of which logarithms are taken."""


def with_own_columns(table: pd.DataFrame) -> pd.DataFrame:
    """Convert our numeric columns to numbers; rename one that holds text, with a remark.

    Its former name can still be used in conditions. A row without a run_id becomes a run of its own.
    """
    moved = {name: other for name, other in NUMBERS.items() if name in table.columns and other not in table.columns}
    for name, other in moved.items():
        column = table[name]
        plain = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
        if plain and name not in POSITIVE:
            continue
        numbers, odd = read_numbers(column)
        if not np.isfinite(numbers).any():  # "OOM at step 3" alone
            odd = odd | (column.notna() & (column.astype(str).str.strip() != "")).to_numpy(bool)
        if name == "error" and np.isfinite(numbers).sum() > odd.sum() > 0:  # refused where used, as a loss is
            continue
        bad = odd | ((numbers <= 0) | np.isinf(numbers) if name in POSITIVE else False)
        if pd.api.types.is_bool_dtype(column) or bad.any():
            example = column[bad].iloc[0] if bad.any() else column.iloc[0]
            remark = f"the column {name} holds {str(example)!r}, which is none of ours: it is called {other}"
            table = with_remarks(with_moved(table.rename(columns={name: other}), {name: other}), remark)
        elif not plain:
            table, _ = parse_numbers(table, [name])
    for name in COUNTED:
        if name in table.columns:
            read, words = parse_numbers(table, [name])
            table = table if words else read
    return _with_run_ids(table, [name for name in ("run_id", "origin") if name in table.columns])


def _with_run_ids(table: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """Return the table with run names as text; a row without a run_id becomes a run of its own."""
    for name in names:
        column = table[name]
        lone, known = name == "run_id" and column.isna().any(), column.dropna()
        alike = pd.api.types.is_numeric_dtype(known) or known.map(lambda value: isinstance(value, str)).all()
        if alike and not lone:
            continue
        words = column.astype(object).where(column.isna(), column.map(str))
        if lone:
            words = words.where(column.notna(), [f"row {i}" for i in range(len(table))])
        table = table.assign(**{name: words})
    return table
