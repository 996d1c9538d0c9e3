"""A table on a terminal: narrower columns on a narrow one, and one row at a time where words would be broken."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

GAP = 2
"""Blanks between columns."""


@dataclass(frozen=True)
class TerminalTable:
    """Heads and rows. right: right-aligned columns; whole: columns that are not broken over lines (nor are intervals).

    Words are never broken. Where that leaves too little room, each row becomes a few lines.
    """

    heads: Sequence[str]
    rows: Sequence[Sequence[Text]]
    right: Sequence[int] = ()
    whole: Sequence[int] = ()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        """Yield one table if it fits, else each row by itself."""
        widths = self.widths(options.max_width)
        if not widths:
            yield from self._row_by_row()
            return
        drawn = Table(box=None, pad_edge=False, header_style="bold")
        for i, (head, width) in enumerate(zip(self.heads, widths, strict=True)):
            drawn.add_column(Text(head), justify="right" if i in self.right else "left", width=width)
        for row in self.rows:
            drawn.add_row(*row)
        yield drawn

    def widths(self, room: int) -> list[int]:
        """Return the widths of the columns, the widest of them narrowed until they fit; empty if they cannot."""
        columns = [[self.heads[i], *(row[i].plain for row in self.rows)] for i in range(len(self.heads))]
        widths = [max(map(cell_len, column)) for column in columns]
        least = [max(map(self._least, [i] * len(column), column)) for i, column in enumerate(columns)]
        room -= GAP * (len(columns) - 1)
        while sum(widths) > room:
            narrower = [i for i in range(len(widths)) if widths[i] > least[i]]
            if not narrower:
                return []
            widths[max(narrower, key=widths.__getitem__)] -= 1
        return widths

    def _least(self, column: int, text: str) -> int:
        """Return the narrowest width at which no word of a cell is broken."""
        if text.startswith("[") or (column in self.whole and text != self.heads[column]):
            return cell_len(text)
        return max(map(cell_len, text.split()), default=0)

    def _row_by_row(self) -> Iterator[RenderableType]:
        """Yield the first cell of each row on its own line, and the others with their heads below it."""
        for row in self.rows:
            first, *others = (
                cell if not head or i in self.whole else Text(f"{head} ").append_text(cell)
                for i, (head, cell) in enumerate(zip(self.heads, row, strict=True))
                if cell
            )
            yield Text(first.plain, style="bold", overflow="fold")
            yield Padding(Text(", ").join(others), (0, 0, 0, GAP))


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[str | Text]],
    *,
    right: Sequence[int] = (),
    whole: Sequence[int] = (),
) -> TerminalTable:
    """Build a table; strings are shown literally, including brackets.

    right: right-aligned (numeric) columns; whole: columns that are not broken over lines, such as overrides to copy.
    """
    lines = [[cell if isinstance(cell, Text) else Text(cell) for cell in row] for row in rows]
    return TerminalTable(columns, lines, right, whole)
