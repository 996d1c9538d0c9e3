"""Remarks on a table: what its columns were taken for, which runs its rows belong to, doubtful units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from analysis.wording import listed

KEY, TAKEN = "remarks", "taken"
MIXED, POOLED = "mixed", "pooled"
"""Columns of which several values are pooled, each with a sentence; those of which the user said that they may be."""
MOVED = "moved"
"""Columns that the user named anew, each with its new name."""
MOST_SAID = 5
"""Columns of which the same is said up to which each has a sentence of its own."""


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


def with_moved(table: pd.DataFrame, moved: Mapping[str, str]) -> pd.DataFrame:
    """Return the table with a note of the columns that were named anew: {"Model Size": "N"}."""
    table = table.copy(deep=False)
    table.attrs[MOVED] = {**table.attrs.get(MOVED, {}), **moved}
    return table


def with_former_names(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with columns that were named anew under their former names too, for conditions."""
    moved = table.attrs.get(MOVED, {})
    return table.assign(**{old: table[new] for old, new in moved.items() if old not in table and new in table})


def remarks_of(table: pd.DataFrame, *, mixed: bool = True) -> tuple[str, ...]:
    """Return the remarks of a table as sentences. mixed: those on columns of several values too."""
    taken = [f"{name} is taken from {old}" for name, old in table.attrs.get(TAKEN, {}).items()]
    first = (f"{', '.join(taken)} (--columns NAME=COLUMN takes another)",) if taken else ()
    return (*first, *table.attrs.get(KEY, []), *(_mixed_words(table.attrs.get(MIXED, {})) if mixed else ()))


def pooled_columns(names: Sequence[str]) -> str:
    """Return what is pooled where there are many such columns, for a sentence."""
    return f"{len(names)} columns of several values each ({listed(names, MOST_SAID - 1)}) are pooled"


def _mixed_words(mixed: Mapping[str, str]) -> list[str]:
    """Return the sentences on columns of several values; one where they are many."""
    return list(mixed.values()) if len(mixed) <= MOST_SAID else [pooled_columns(list(mixed))]
