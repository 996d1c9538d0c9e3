"""Remarks on a table: how its columns were interpreted, how rows were assigned to runs, doubtful units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from analysis.errors import UserError
from analysis.wording import listed

KEY, TAKEN = "scaling.remarks", "scaling.taken"
MIXED, POOLED = "scaling.mixed", "scaling.pooled"
"""Keys of notes in attrs: mixed columns, each with a sentence; columns that the user pools."""
MOVED = "scaling.moved"
"""Key of a note: columns renamed by the user, with their new names."""
MOST_SAID = 5
"""Maximum number of columns with the same finding that get a sentence each."""


def with_remarks(table: pd.DataFrame, *texts: str) -> pd.DataFrame:
    """Return the table with these sentences added to its remarks, without duplicates."""
    if not texts:
        return table
    table = table.copy(deep=False)
    table.attrs[KEY] = list(dict.fromkeys([*table.attrs.get(KEY, []), *texts]))
    return table


def with_left_out(table: pd.DataFrame, left_out: Sequence[str]) -> pd.DataFrame:
    """Return selected rows with a remark on those that were left out."""
    return with_remarks(table, *([left_out_words(left_out)] if left_out else []))


def left_out_words(left_out: Sequence[str]) -> str:
    """Return the sentence on rows that were left out."""
    return f"left out: {'; '.join(left_out)}"


def with_taken(table: pd.DataFrame, taken: dict[str, str]) -> pd.DataFrame:
    """Return the table with a note of the columns that were recognised automatically, such as {"N": "params"}."""
    if not taken:
        return table
    table = table.copy(deep=False)
    table.attrs[TAKEN] = {**table.attrs.get(TAKEN, {}), **taken}
    return table


def without_note(table: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return the table without the note that this column was recognised automatically, as the user now defines it."""
    if column not in table.attrs.get(TAKEN, {}):
        return table
    table = table.copy(deep=False)
    table.attrs[TAKEN] = {name: old for name, old in table.attrs[TAKEN].items() if name != column}
    return table


def with_moved(table: pd.DataFrame, moved: Mapping[str, str]) -> pd.DataFrame:
    """Return the table with a note of the renamed columns, such as {"Model Size": "N"}."""
    table = table.copy(deep=False)
    table.attrs[MOVED] = {**table.attrs.get(MOVED, {}), **moved}
    return table


def with_pooled(table: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Return the table with a note of the columns whose kinds the user pools. Raises `UserError` for unknown ones."""
    if not columns:
        return table
    unknown = [name for name in columns if name not in table.columns]
    if unknown:
        raise UserError(f"found no column {unknown[0]!r} to pool; the table has {listed(table.columns)}; name another")
    table = table.copy(deep=False)
    table.attrs[POOLED] = sorted({*columns, *table.attrs.get(POOLED, ())})
    return table


def with_former_names(table: pd.DataFrame, of: str | None = None) -> pd.DataFrame:
    """Return the table with renamed columns (or the one called `of`) under their former names too, for conditions."""
    moved = {old: new for old, new in table.attrs.get(MOVED, {}).items() if of in (None, new)}
    return table.assign(**{old: table[new] for old, new in moved.items() if old not in table and new in table})


def remarks_of(table: pd.DataFrame, *, mixed: bool = True) -> tuple[str, ...]:
    """Return the remarks of a table as sentences. mixed: include those on mixed columns."""
    taken = [f"{name} is taken from {old}" for name, old in table.attrs.get(TAKEN, {}).items()]
    first = (f"{', '.join(taken)} (--columns NAME=COLUMN takes another)",) if taken else ()
    return (*first, *table.attrs.get(KEY, []), *(_mixed_words(table.attrs.get(MIXED, {})) if mixed else ()))


def pooled_columns(names: Sequence[str]) -> str:
    """Return a phrase that lists many pooled columns."""
    return f"{len(names)} columns of several values each ({listed(names, MOST_SAID - 1)}) are pooled"


def _mixed_words(mixed: Mapping[str, str]) -> list[str]:
    """Return the sentences on mixed columns; a single one if there are many."""
    return list(mixed.values()) if len(mixed) <= MOST_SAID else [pooled_columns(list(mixed))]
