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


def _noted(table: pd.DataFrame, key: str, note: object) -> pd.DataFrame:
    """Return the table with a note under a key of its attrs."""
    table = table.copy(deep=False)
    table.attrs[key] = note
    return table


def with_remarks(table: pd.DataFrame, *texts: str) -> pd.DataFrame:
    """Return the table with these sentences added to its remarks, without duplicates."""
    return _noted(table, KEY, list(dict.fromkeys([*table.attrs.get(KEY, []), *texts]))) if texts else table


def with_left_out(table: pd.DataFrame, left_out: Sequence[str]) -> pd.DataFrame:
    """Return selected rows with a remark on those that were left out."""
    return with_remarks(table, *([left_out_words(left_out)] if left_out else []))


def left_out_words(left_out: Sequence[str]) -> str:
    """Return the sentence on rows that were left out."""
    return f"left out: {'; '.join(left_out)}"


def with_taken(table: pd.DataFrame, taken: dict[str, str]) -> pd.DataFrame:
    """Return the table with a note of the columns that were recognised automatically, such as {"N": "params"}."""
    return _noted(table, TAKEN, {**table.attrs.get(TAKEN, {}), **taken}) if taken else table


def without_note(table: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return the table without the note that this column was recognised automatically, as the user now defines it."""
    taken = table.attrs.get(TAKEN, {})
    left = {name: old for name, old in taken.items() if name != column}
    return _noted(table, TAKEN, left) if column in taken else table


def with_moved(table: pd.DataFrame, moved: Mapping[str, str]) -> pd.DataFrame:
    """Return the table with a note of the renamed columns, such as {"Model Size": "N"}."""
    return _noted(table, MOVED, {**table.attrs.get(MOVED, {}), **moved})


def with_pooled(table: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Return the table with a note of the columns whose kinds the user pools. Raises `UserError` for unknown ones."""
    if not columns:
        return table
    unknown = [name for name in columns if name not in table.columns]
    if unknown:
        raise UserError(f"found no column {unknown[0]!r} to pool; the table has {listed(table.columns)}; name another")
    return _noted(table, POOLED, sorted({*columns, *table.attrs.get(POOLED, ())}))


def with_former_names(table: pd.DataFrame, of: str | None = None) -> pd.DataFrame:
    """Return the table with renamed columns (or the one called `of`) under their former names too, for conditions."""
    moved = {old: new for old, new in table.attrs.get(MOVED, {}).items() if of in (None, new)}
    return table.assign(**{old: table[new] for old, new in moved.items() if old not in table and new in table})


def remarks_of(table: pd.DataFrame, *, mixed: bool = True) -> tuple[str, ...]:
    """Return the remarks of a table as sentences. mixed: include those on mixed columns."""
    taken = [f"{name} is taken from {old}" for name, old in table.attrs.get(TAKEN, {}).items()]
    first = (f"{', '.join(taken)} (--columns NAME=COLUMN takes another)",) if taken else ()
    kinds = table.attrs.get(MIXED, {}) if mixed else {}
    said = list(kinds.values()) if len(kinds) <= MOST_SAID else [pooled_columns(list(kinds))]
    return (*first, *table.attrs.get(KEY, []), *said)


def pooled_columns(names: Sequence[str]) -> str:
    """Return a phrase that lists many pooled columns."""
    return f"{len(names)} columns of several values each ({listed(names, MOST_SAID - 1)}) are pooled"
