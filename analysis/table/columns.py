"""Require columns of a table and read their values as numbers, including numbers written as text."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd

from analysis.errors import UserError
from analysis.table.files.text import WORDS
from analysis.table.recognise.roles import proposals
from analysis.table.recognise.written_numbers import mark_of, read_numbers
from analysis.table.remarks import with_remarks
from analysis.wording import counted, in_quotes, listed, ticked


def require_columns(table: pd.DataFrame, columns: Sequence[str]) -> None:
    """Raise `UserError`, listing the table's columns, unless all `columns` exist and are numeric."""
    _require_names(table, columns)
    for column in columns:
        numbers_of(table[column], column)


def _require_names(table: pd.DataFrame, columns: Sequence[str]) -> None:
    """Raise `UserError`, listing the table's columns, unless all `columns` exist."""
    for column in columns:
        if column not in table.columns:
            raise UserError(
                f"found no column {column!r}; the table has {listed(table.columns)}; {proposals(table, column)}"
            )


def require_response(y: str, inputs: Collection[str]) -> None:
    """Raise `UserError` where the response is also an input."""
    if y in inputs:
        raise UserError(f"found {y} as both the response and an input; wanted two columns; choose another")


def as_numbers(table: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Return the table with these columns as floats, with a remark where they were written with units.

    Raises `UserError` where one is missing or holds anything but numbers.
    """
    table, odd = parse_numbers(table, columns)
    for column, words in odd.items():
        raise not_numeric(words, column, len(table))
    return table


def parse_numbers(table: pd.DataFrame, columns: Sequence[str]) -> tuple[pd.DataFrame, dict[str, pd.Series]]:
    """Return the table with these columns as floats, and the text values that are no numbers, by column.

    Such values are NaN in the table. Remarks say how text was read. Raises `UserError` where a column is missing.
    """
    odd: dict[str, pd.Series] = {}
    for column in dict.fromkeys(columns):
        _require_names(table, [column])
        words = table[column]
        if pd.api.types.is_numeric_dtype(words) and not pd.api.types.is_bool_dtype(words):
            continue
        numbers, wrong = read_numbers(words)
        if wrong.any():
            odd[column] = words[wrong]
        table = with_remarks(table.assign(**{column: numbers}), *_how_read(words, numbers, wrong))
    return table, odd


def _how_read(words: pd.Series, numbers: np.ndarray, wrong: np.ndarray) -> list[str]:
    """Report how the first value that is not a plain number was read, and which values count as missing."""
    remarks, plain = [], pd.to_numeric(words, errors="coerce").to_numpy(float, na_value=np.nan)
    odd = np.flatnonzero(np.isfinite(numbers) & (numbers != plain))
    marked = words.iloc[odd].map(mark_of)
    marks = [mark for mark in marked if mark]
    if marks:
        shown = listed(list(dict.fromkeys(marks)), 5)
        remarks.append(f"{words.name} has {counted(len(marks), 'number')} with a mark ({shown}), read without it")
        odd = odd[(marked == "").to_numpy(bool)]
    if len(odd):
        remarks.append(f"{words.name} holds words such as {str(words.iloc[odd[0]])!r}, read as {numbers[odd[0]]:.6g}")
    none = words[np.isnan(numbers) & ~wrong & words.notna().to_numpy()].astype(str)
    kinds = none[none.map(lambda word: any(letter.isalpha() for letter in word))].str.strip().unique()
    kinds = [kind for kind in kinds if kind.lower() not in ("nan", "none", "null", "na", "n/a", "<na>", "nat")]
    return [*remarks, f"{words.name} holds {listed(kinds, 5)}, read as nothing"] if kinds else remarks


def require_positive(table: pd.DataFrame, columns: Sequence[str]) -> None:
    """Raise `UserError` where one of these columns has a value without a logarithm, with how to leave it out."""
    for column in columns:
        values = table[column].to_numpy(float)
        bad = ~(np.isfinite(values) & (values > 0))
        if bad.all():
            raise UserError(
                f"found no row whose {column} is a positive number (such as {values[0] if len(values) else 'none'}); "
                f"wanted positive numbers; take another column (--columns {column}=…) or compute it (--derive)"
            )
        if bad.any():
            name = ticked(column)
            condition = f"{name} > 0" + (f" and {name} < 1e300" if np.isposinf(values).any() else "")
            merged = np.isnan(values[bad]).all() and bad.mean() > 0.5 and not bad[0]
            fill = "fill them down where cells were merged, or " if merged else ""
            raise UserError(
                f"found {int(bad.sum())} of {len(values)} rows whose {column} is not a positive number (such as "
                f"{values[bad][0]}); wanted positive numbers; {fill}leave them out (--where {in_quotes(condition)})"
            )


def numbers_of(column: pd.Series, name: str) -> np.ndarray:
    """Return a column as floats, NaN where empty. Raises `UserError` where it holds anything but numbers."""
    numbers, odd = read_numbers(column)
    if odd.any():
        raise not_numeric(column[odd], name, len(column))
    return numbers


def not_numeric(words: pd.Series, name: str, n: int) -> UserError:
    """Return the error that names text where numbers are wanted, and says how to leave out such rows."""
    if len(words) == n:
        return UserError(f"column {name!r} holds {str(words.iloc[0])!r}; wanted numbers; take another column")
    return UserError(
        f"column {name!r} holds {str(words.iloc[0])!r} in {len(words)} of {n} rows; wanted numbers; mend them, or "
        f"leave such rows out (--where {in_quotes(f'{ticked(name)} > 0')})"
    )


def with_written_numbers(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with columns of written numbers (45 %, 1.3B) as floats."""
    numbers = {}
    for name in table.columns:
        if pd.api.types.is_numeric_dtype(table[name]) or name in WORDS:
            continue
        values, odd = read_numbers(table[name])
        if not odd.any() and np.isfinite(values).any():
            numbers[str(name)] = values
    return table.assign(**numbers)


def with_compute(rows: pd.DataFrame) -> pd.DataFrame:
    """Add C = 6 N D (Kaplan et al. 2020), with a remark, where a table has N and D and no C."""
    if "C" in rows.columns or not {"N", "D"} <= set(rows.columns):
        return rows
    rows = rows.assign(C=6 * numbers_of(rows["N"], "N") * numbers_of(rows["D"], "D"))
    return with_remarks(rows, "C is taken as 6 N D, as the table has none")
