"""Replace signs and powers by readable ASCII in streams whose encoding lacks them."""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterable
from typing import IO

HANDLER = "spelt"
RAISED = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-", strict=True))
SPELT = {"−": "-", "–": "-", "—": "-", "×": "x", "…": "...", "·": "-", "±": "+-", "≥": ">=", "≤": "<=", "•": "*"}


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
