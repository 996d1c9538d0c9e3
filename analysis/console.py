"""Where results are printed: no wider than the terminal, and safe against control sequences in tables."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
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


WIDE = 132
"""Columns where there is no terminal."""
_recorder: ContextVar[Console | None] = ContextVar("recorder", default=None)


def console() -> Console:
    """Make a console on stdout, as wide as the terminal; where results are recorded, that of the recording."""
    return _recorder.get() or HarmlessConsole(highlight=False, width=None if sys.stdout.isatty() else WIDE)


@contextmanager
def recorded() -> Iterator[Console]:
    """Keep what is shown inside instead of printing it; the console that is yielded has it."""
    out = HarmlessConsole(highlight=False, width=WIDE, record=True, file=io.StringIO(), force_jupyter=False)
    token = _recorder.set(out)
    try:
        yield out
    finally:
        _recorder.reset(token)


@contextmanager
def working(text: str) -> Iterator[None]:
    """Show on a terminal what is being done, while it is done; nothing elsewhere."""
    with HarmlessConsole(stderr=True).status(escape(text)):
        yield
