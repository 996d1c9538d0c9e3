"""Find the header row of a table, below titles and above units, and make its names unique."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import takewhile

import pandas as pd

from analysis.errors import UserError
from analysis.table.recognise.written_numbers import factor_of
from analysis.wording import counted

LOOK = 20
"""Number of rows examined to find the header and the number of columns."""
INVISIBLE = re.compile("[\u200b-\u200d\u2060\ufeff]")
BRACKETS = re.compile(r"[(\[](\D*)[)\]]")
"""A unit in brackets."""
MARK = "\x00"
"""Separator between a repeated name and its number, until the columns are known."""


def named_by_levels(rows: Sequence[Sequence[str]]) -> tuple[list[str], int]:
    """Return the names of a header of several rows, joined by _, and the number of its rows; ([], 0) for one row.

    pandas writes such headers for groups (`agg({"loss": ["mean", "std"]})`): no row of them names every column.
    """
    head = list(takewhile(is_words, rows[:LOOK]))
    width = len(rows[len(head)]) if len(head) < len(rows) else 0
    if len(head) < 2 or any(len(row) != width or len(set(row) - {""}) in (0, width) for row in head):
        return [], 0
    if head[0][0].strip() and filled(head[0]) == 1:  # a title
        return [], 0
    names = [
        "_".join(dict.fromkeys(cell.strip() for cell in cells if cell.strip())) for cells in zip(*head, strict=True)
    ]
    whole = all(names[1:]) and len(set(names)) == width
    return (names, len(head)) if whole else ([], 0)


def header_row(rows: Sequence[Sequence[str]]) -> int:
    """Return the index of the row with the column names: the first row of words alone with as many cells as the values.

    One cell less is enough where the first column, of row names, has no name. Titles and merged groups of columns above
    the header have fewer cells. Without such a row it is row 0; raises `UserError` where that holds numbers alone.
    """
    first = rows[:LOOK]
    most = max((filled(row) for row in first if not is_words(row)), default=0)
    nearly = None
    for i, row in enumerate(first):
        if is_words(row) and filled(row) >= max(most, 1) and (most or filled(row) > 1):
            return i
        if not is_words(row) and filled(row) == most:  # values
            break
        if is_words(row) and filled(row) == most - 1 and (not row[0].strip() or len(row) == most - 1):
            nearly = i
    if nearly is not None:
        return nearly
    if first and first[0] and not any(_is_word(cell) for cell in first[0] if cell.strip()):
        raise UserError(f"the first row holds {', '.join(first[0][:4])}; wanted names of columns above the values")
    return 0


def with_units(head: Sequence[str], below: Sequence[Sequence[str]]) -> tuple[list[str], int]:
    """Return the names with the units of the row below, and the number of rows that the units take (0 or 1).

    The row below counts as units if it holds nothing else. Units that scale no number, or are unknown, are left out.
    """
    row = [cell.strip() for cell in below[0]] if below else []
    if not any(_is_word(cell) for cell in row if cell) or len(row) > len(head) or len(below) < 2 or is_words(below[1]):
        return list(head), 0
    if not all(not cell or BRACKETS.fullmatch(cell) or factor_of(cell) for cell in row):
        return list(head), 0
    units = [match[1] if (match := BRACKETS.fullmatch(cell)) else cell for cell in row]
    units = [unit if factor_of(unit) not in (None, 1) else "" for unit in [*units, *[""] * (len(head) - len(row))]]
    return [f"{name} ({unit})" if unit else name for name, unit in zip(head, units, strict=True)], 1


def filled(row: Sequence[str]) -> int:
    """Return the number of non-empty cells of a row."""
    return sum(bool(cell.strip()) for cell in row)


def is_words(row: Sequence[str]) -> bool:
    """Tell whether no cell of a row is a number."""
    return all(_is_word(cell) for cell in row if cell.strip()) and filled(row) > 0


def _is_word(cell: str) -> bool:
    """Tell whether a cell is not a number; nan and inf count as words."""
    return not any(letter.isdigit() for letter in cell) or not re.fullmatch(r"[-+\d.,eE%' _]*", cell.strip())


def column_names(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a name for each value of a row: the header's, plus one for row names before it or empty cells after it.

    Raises `UserError` where rows have more values than the header has names.
    """
    most = max((len(row) for row in rows[:LOOK]), default=0)
    names, more = list(head), most - len(head)
    if more <= 0 or not rows:
        return names
    whole = [row for row in rows[:LOOK] if len(row) == most]
    if not any(filled(row[len(head) :]) for row in whole):
        return names + [f"Unnamed: {i}" for i in range(len(head), most)]
    first = [row[0] for row in whole]
    numbered = [[str(i + start) for i in range(len(first))] for start in (0, 1)]
    row_names = all(_is_word(cell) for cell in first) or first in numbered
    if more == 1 and row_names:
        return ["Unnamed: 0", *names]
    raise UserError(
        f"found {counted(len(head), 'name')} ({', '.join(head[:4])}) above rows of {most} values "
        f"({', '.join(whole[0][:5])}); wanted a name for each"
    )


def number_repeats(names: Sequence[str]) -> list[str]:
    """Return the names without white space around them; repeated ones get `MARK` and a number."""
    clean = [visible(name) or f"Unnamed: {i}" for i, name in enumerate(names)]
    return [f"{name}{MARK}{clean[:i].count(name)}" if clean.count(name) > 1 else name for i, name in enumerate(clean)]


def resolve_repeats(table: pd.DataFrame) -> pd.DataFrame:
    """Resolve columns of one name (see `number_repeats`): kept once if equal, else all numbered (loss.0, loss.1)."""
    marked = [str(name) for name in table.columns if MARK in str(name)]
    renamed = {}
    for name in dict.fromkeys(one.partition(MARK)[0] for one in marked):
        these = [one for one in marked if one.partition(MARK)[0] == name]
        equal = all(table[these[0]].equals(table[one]) for one in these)
        table = table.drop(columns=these[1:]) if equal else table
        renamed.update({these[0]: name} if equal else {one: f"{name}.{i}" for i, one in enumerate(these)})
    return table.rename(columns=renamed)


def visible(name: object) -> str:
    """Return a name without surrounding white space and invisible characters."""
    return INVISIBLE.sub("", str(name)).strip()
