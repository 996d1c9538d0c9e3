"""Remarks that a table carries with it: what its columns were taken for, which runs its rows are of, units in doubt."""

from __future__ import annotations

import pandas as pd

KEY, TAKEN = "remarks", "taken"
MIXED, POOLED = "mixed", "pooled"
"""Columns of which several values are pooled, each with a sentence; those of which the user said that they may be."""


def with_remarks(table: pd.DataFrame, *texts: str) -> pd.DataFrame:
    """Return the table with these sentences added to its remarks, each once."""
    if not texts:
        return table
    table = table.copy(deep=False)
    table.attrs[KEY] = list(dict.fromkeys([*table.attrs.get(KEY, []), *texts]))
    return table


def with_taken(table: pd.DataFrame, taken: dict[str, str]) -> pd.DataFrame:
    """Return the table with a note of the columns, in words, from which others were taken unasked: {"N": "params"}."""
    if not taken:
        return table
    table = table.copy(deep=False)
    table.attrs[TAKEN] = {**table.attrs.get(TAKEN, {}), **taken}
    return table


def given(table: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return the table without a note on this column, which the user gave."""
    if column not in table.attrs.get(TAKEN, {}):
        return table
    table = table.copy(deep=False)
    table.attrs[TAKEN] = {name: old for name, old in table.attrs[TAKEN].items() if name != column}
    return table


def remarks_of(table: pd.DataFrame, *, mixed: bool = True) -> tuple[str, ...]:
    """Return the remarks of a table as sentences. mixed: those on columns of several values too."""
    taken = [f"{name} is taken from {old}" for name, old in table.attrs.get(TAKEN, {}).items()]
    first = (f"{', '.join(taken)} (--columns NAME=COLUMN takes another)",) if taken else ()
    return (*first, *table.attrs.get(KEY, []), *(table.attrs.get(MIXED, {}).values() if mixed else ()))
