"""Standard streams: open where they were closed, and readable ASCII for signs and powers that their encoding lacks."""

from __future__ import annotations

import codecs
import io
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import IO

HANDLER = "spelt"
RAISED = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-", strict=True))
SPELT = {"−": "-", "–": "-", "—": "-", "×": "x", "…": "...", "·": "-", "±": "+-", "≥": ">=", "≤": "<=", "•": "*"}


def open_closed() -> None:
    """Open the null device in place of standard streams that are closed (`>&-`), for which Python has None."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115 - never closed


def write_rest() -> None:
    """Write what is left for stdout; OSError if it is full. A reader that has left (`| head`) wants no more."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        drop_unwritten()


def drop_unwritten() -> None:
    """Drop what a full stdout did not take: at its end, Python would try again, and exit with 120."""
    try:
        sys.stdout.flush()
    except OSError:
        with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())


def spell_out(streams: Iterable[IO[str] | None]) -> None:
    """Make streams that lack the characters write −0.154 as -0.154, 3×10⁸ as 3x10^8, and ? for others."""
    codecs.register_error(HANDLER, _spelt)
    for stream in streams:
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=HANDLER)


def _spelt(error: UnicodeError) -> tuple[str, int]:
    """Return ASCII text for characters that cannot be encoded; a power begins with ^."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text, spelt = error.object, list[str]()
    for at in range(error.start, error.end):
        if text[at] in RAISED:
            begins = at == 0 or text[at - 1] not in RAISED
            spelt.append("^" * begins + RAISED[text[at]])
        else:
            spelt.append(SPELT.get(text[at], "?"))
    return "".join(spelt), error.end
