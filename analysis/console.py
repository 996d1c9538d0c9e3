"""The console for results: no wider than the terminal, and safe against control sequences in tables."""

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
    """A console that removes terminal control sequences from text in tables."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Render anything; all printed output passes through here."""
        for part in super().render(renderable, options):
            yield part if part.control else Segment(printable(part.text), part.style)


WIDE = 132
"""Columns in a notebook."""
ENDLESS = 10_000
"""Columns in a pipe or a file, where nothing is broken over lines."""
_recorder: ContextVar[Console | None] = ContextVar("recorder", default=None)


def console() -> Console:
    """Return a console on stdout as wide as the terminal, or the recording console inside `recorded`."""
    return _recorder.get() or HarmlessConsole(highlight=False, width=None if sys.stdout.isatty() else ENDLESS)


@contextmanager
def recorded() -> Iterator[Console]:
    """Record output inside the context instead of printing it; yield the console that holds it."""
    out = HarmlessConsole(highlight=False, width=WIDE, record=True, file=io.StringIO(), force_jupyter=False)
    token = _recorder.set(out)
    try:
        yield out
    finally:
        _recorder.reset(token)


@contextmanager
def working(text: str) -> Iterator[None]:
    """Show a progress message on a terminal during the context; nothing elsewhere."""
    with HarmlessConsole(stderr=True).status(escape(text)):
        yield
