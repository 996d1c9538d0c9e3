"""Tables on a terminal: the least important columns are dropped until the rest fits. A pipe gets all columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len
from rich.console import Console
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from scaling.errors import printable

if TYPE_CHECKING:
    from rich.console import ConsoleOptions, RenderableType

GAP = 2  # spaces between columns
LEAST = 20  # least width of a column that wraps, before other columns are dropped


@dataclass(frozen=True)
class Column:
    """A column; rank: the highest is dropped first, 0 never; wraps: it may take several lines."""

    name: str
    rank: int = 0
    right: bool = False
    wraps: bool = False


class Terminal(Console):
    """A console that prints users' text literally: without markup or emoji, and without characters that control it."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(markup=False, highlight=False, emoji=False, **settings)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Render anything; all printed content passes through this method."""
        for part in super().render(renderable, options):
            yield part if part.control else Segment(printable(part.text), part.style)

    def say(self, *sentences: str | Text) -> None:
        """Print sentences as they are, each in one line however long, so that commands in them can be copied."""
        for sentence in sentences:
            self.print(sentence, soft_wrap=True)


def print_table(console: Console, columns: Sequence[Column], rows: Sequence[Sequence[str | Text]]) -> None:
    """Print rows with one cell for each column; empty columns are left out, dropped ones are named below."""
    filled = [i for i, column in enumerate(columns) if column.rank == 0 or any(str(row[i]) for row in rows)]
    widths = {i: max(cell_len(str(cell)) for cell in (columns[i].name, *(row[i] for row in rows))) for i in filled}
    kept = fitting(columns, widths, console.width) if console.is_terminal else filled
    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="dim")
    for i in kept:
        column = columns[i]
        table.add_column(column.name, justify="right" if column.right else "left", no_wrap=not column.wraps)
    for row in rows:
        table.add_row(*(row[i] for i in kept))
    if not console.is_terminal:
        console.width = max(console.width, sum(widths[i] + GAP for i in kept))
    console.print(table)
    gone = [columns[i].name for i in filled if i not in kept]
    if gone:
        console.print(
            f"no room for {', '.join(gone)}: a wider terminal, or --json, has them", style="dim", soft_wrap=True
        )


def fitting(columns: Sequence[Column], widths: dict[int, int], room: int) -> list[int]:
    """Return the columns that fit into `room`; widths of those that wrap may be reduced."""
    kept = list(widths)
    while True:
        needed = sum((min(widths[i], LEAST) if columns[i].wraps else widths[i]) + GAP for i in kept) - GAP
        leaving = [i for i in kept if columns[i].rank]
        if needed <= room or not leaving:
            return kept
        kept.remove(max(leaving, key=lambda i: columns[i].rank))
