"""Where results are printed: no wider than the terminal, and steered by nothing that a table's author wrote."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.segment import Segment

from analysis.errors import printable

if TYPE_CHECKING:
    from rich.console import ConsoleOptions, RenderableType


class HarmlessConsole(Console):
    """Prints what a table's author wrote without what steers a terminal."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Render anything: all that is printed, and each part of it, comes by here."""
        for part in super().render(renderable, options):
            yield part if part.control else Segment(printable(part.text), part.style)


def console() -> Console:
    """Make a console on stdout: as wide as the terminal, or 132 columns where there is none."""
    return HarmlessConsole(highlight=False, width=None if sys.stdout.isatty() else 132)


@contextmanager
def working(text: str) -> Iterator[None]:
    """Show on a terminal what is being done, while it is done; nothing elsewhere."""
    with HarmlessConsole(stderr=True).status(escape(text)):
        yield
