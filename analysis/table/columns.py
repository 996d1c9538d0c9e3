"""Columns of a table that have to be there, and hold numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from analysis.errors import UserError
from analysis.wording import listed


def require_columns(table: pd.DataFrame, columns: Sequence[str]) -> None:
    """Raise `UserError` that lists the table's columns unless all of `columns` are there and hold numbers."""
    for column in columns:
        if column not in table.columns:
            hint = "name it with --columns, or compute it with --derive"
            raise UserError(f"found no column {column!r}; the table has {listed(table.columns)}; {hint}")
        numbers_of(table[column], column)


def numbers_of(column: pd.Series, name: str) -> np.ndarray:
    """Return a column as floats, NaN where nothing stands. Raises `UserError` where it holds anything but numbers."""
    if pd.api.types.is_numeric_dtype(column):
        return column.to_numpy(dtype=float, na_value=np.nan)
    numbers = pd.to_numeric(column, errors="coerce")
    bad = column[numbers.isna() & column.notna()]
    if len(bad):
        raise UserError(f"column {name!r} holds {str(bad.iloc[0])!r}; wanted numbers")
    return numbers.to_numpy(dtype=float)
