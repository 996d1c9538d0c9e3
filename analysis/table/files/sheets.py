"""Tables in spreadsheets: find the one sheet that holds runs, and the table below its titles."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

import pandas as pd

from analysis.errors import UserError
from analysis.table.files.header import LOOK, filled, header_row, named_by_levels, number_repeats, with_units
from analysis.table.recognise.roles import is_known
from analysis.table.remarks import with_remarks
from analysis.wording import counted, listed


def read_sheet(source: Path | IO[bytes], name: str) -> pd.DataFrame:
    """Read the only sheet, or the one with our columns; remarks name the others, and count hidden rows.

    Raises `UserError` where several sheets hold runs.
    """
    with pd.ExcelFile(source, engine="openpyxl", engine_kwargs={"read_only": False}) as book:
        sheets = {
            title: _filled_down(
                pd.read_excel(book, sheet_name=title, header=None), book.book[title].merged_cells.ranges
            )
            for title in map(str, book.sheet_names)
        }
        hidden = {title: sum(row.hidden for row in book.book[title].row_dimensions.values()) for title in sheets}
    tables = {title: _table(cells) for title, cells in sheets.items()}
    tables = {title: table for title, table in tables.items() if len(table)}
    known = {title: sum(map(is_known, table.columns)) for title, table in tables.items()}
    runs = [title for title in tables if known[title] > 1] or [title for title in tables if known[title]]
    if len(runs) > 1:
        raise UserError(
            f"found {len(runs)} sheets with runs in {name} ({listed(runs, 5)}); wanted one; save the one you mean as "
            "csv, or put all runs into one sheet"
        )
    chosen = (runs or list(tables) or [""])[0]
    others = [title for title in tables if title != chosen]
    remarks = [f"the sheet {chosen} of {name} is read, and not {listed(others, 5)}"] if others else []
    if n := hidden.get(chosen, 0):
        remarks.append(f"{counted(n, 'hidden row')} of {name} {'is' if n == 1 else 'are'} read like the others")
    return with_remarks(tables.get(chosen, pd.DataFrame()), *remarks)


def _filled_down(cells: pd.DataFrame, merged: Iterable[Any]) -> pd.DataFrame:
    """Return a sheet with the value of cells that are merged over several rows of a column in each of them."""
    cells = cells.copy()
    for area in merged:
        rows, column = slice(area.min_row - 1, area.max_row), area.min_col - 1
        if area.max_col == area.min_col and area.max_row <= len(cells) and column < cells.shape[1]:
            value: Any = cells.iat[rows.start, column]
            cells.iloc[rows, column] = value
    return cells


def _table(cells: pd.DataFrame) -> pd.DataFrame:
    """Return the table in a sheet's cells, without empty rows and columns and text above its header."""
    cells = cells.dropna(how="all").dropna(how="all", axis=1)
    if len(cells) < 2:
        return pd.DataFrame()
    words = cells.head(LOOK * 2).astype(object).where(cells.head(LOOK * 2).notna(), "").map(str).to_numpy().tolist()
    top = header_row(words)
    if top == 0 and filled(words[0]) < 2 < len(words[0]):  # a sheet of notes
        top = next((i for i, row in enumerate(words[:LOOK]) if filled(row) > 1), 0)
    names, above = named_by_levels(words)
    if not names:
        names, units = with_units(words[top], words[top + 1 :])
        above = top + 1 + units
    below = cells.iloc[above:]
    used = [bool(name.strip()) or bool(below[column].notna().any()) for name, column in zip(names, below, strict=True)]
    body, head = below.loc[:, used], [name for name, kept in zip(names, used, strict=True) if kept]
    return body.set_axis(number_repeats(head), axis=1).infer_objects().reset_index(drop=True)
