"""Columns of a table that have to be there, and hold numbers, as numbers or as people write them: 1.3B, 6e20, 45 %."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd

from analysis.errors import UserError
from analysis.table.remarks import with_remarks
from analysis.table.roles import proposals
from analysis.wording import listed

FACTORS = {"": 1.0, "%": 0.01, "k": 1e3, "m": 1e6, "mm": 1e6, "b": 1e9, "bn": 1e9, "g": 1e9, "t": 1e12, "p": 1e15}
WRITTEN = re.compile(r"([-+]?[\d,_ ]*\.?\d*(?:e[-+]?\d+)?)\s*(%|bn|mm|[kmbgtp])?", re.IGNORECASE)
EMPTY = ("", "nan", "none", "null", "na", "n/a", "-", "--", "—")


def require_columns(table: pd.DataFrame, columns: Sequence[str]) -> None:
    """Raise `UserError` that lists the table's columns unless all of `columns` are there and hold numbers."""
    for column in columns:
        if column not in table.columns:
            raise UserError(
                f"found no column {column!r}; the table has {listed(table.columns)}; {proposals(table, column)}"
            )
        numbers_of(table[column], column)


def as_numbers(table: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Return the table with these columns as floats; a remark says where they were written with units.

    Raises `UserError` where one is missing, or holds anything but numbers.
    """
    require_columns(table, columns)
    for column in dict.fromkeys(columns):
        words = table[column]
        if pd.api.types.is_numeric_dtype(words) and not pd.api.types.is_bool_dtype(words):
            continue
        numbers = numbers_of(words, column)
        plain = pd.to_numeric(words, errors="coerce").to_numpy(float)
        odd = np.flatnonzero(np.isfinite(numbers) & ~np.isfinite(plain))
        table = table.assign(**{column: numbers})
        if len(odd):
            example = words.iloc[odd[0]]
            table = with_remarks(table, f"{column} holds words such as {str(example)!r}, read as {numbers[odd[0]]:.6g}")
    return table


def require_positive(table: pd.DataFrame, columns: Sequence[str]) -> None:
    """Raise `UserError` where one of these columns holds something that has no logarithm, with how to leave it out."""
    for column in columns:
        values = table[column].to_numpy(float)
        bad = ~(np.isfinite(values) & (values > 0))
        if bad.any():
            name = column if column.isidentifier() else f"`{column}`"
            condition = f"{name} > 0" + (f" and {name} < 1e300" if np.isposinf(values).any() else "")
            raise UserError(
                f"found {int(bad.sum())} of {len(values)} rows whose {column} is not a positive number (such as "
                f'{values[bad][0]}); wanted positive numbers; leave them out (where="{condition}")'
            )


def numbers_of(column: pd.Series, name: str) -> np.ndarray:
    """Return a column as floats, NaN where nothing stands. Raises `UserError` where it holds anything but numbers."""
    if pd.api.types.is_numeric_dtype(column):
        return column.to_numpy(dtype=float, na_value=np.nan)
    numbers = pd.to_numeric(column, errors="coerce")
    left = numbers.isna() & column.notna()
    if left.any():
        numbers = numbers.where(~left, column[left].map(_written).reindex(column.index))
        bad = column[left & numbers.isna() & ~column.astype(str).str.strip().str.lower().isin((*EMPTY, "inf", "-inf"))]
        if len(bad):
            raise UserError(f"column {name!r} holds {str(bad.iloc[0])!r}; wanted numbers")
    return numbers.to_numpy(dtype=float)


def _written(value: object) -> float:
    """Read a number as people write it: 1.3B, 125M, 45 %, 1,000,000, 1_000, 6e20; NaN for anything else."""
    text = str(value).strip().replace("−", "-").replace("×10^", "e").replace("\u00a0", " ")
    match = WRITTEN.fullmatch(text)
    if match is None or not any(letter.isdigit() for letter in match[1]):
        return float("nan")
    digits = match[1].strip()
    if "," in digits and not re.fullmatch(r"[-+]?\d{1,3}(,\d{3})+(\.\d*)?", digits):
        return float("nan")
    try:
        return float(re.sub(r"[,_ ]", "", digits)) * FACTORS[(match[2] or "").lower()]
    except ValueError:
        return float("nan")
