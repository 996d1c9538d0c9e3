"""The fingerprint of the user's own code: of the modules that a run uses, and all that they import."""

from __future__ import annotations

import hashlib
import io
import tokenize
from functools import cache

from scaling.content.digest import DIGITS
from scaling.security.modules import own_sources


@cache
def fingerprint(names: frozenset[str]) -> str:
    """Return the fingerprint of the user's own modules among these, "" if there are none.

    It is made once a process, like the import of the modules. Comments and blank lines do not count.
    """
    sources = own_sources(sorted(names))
    if not sources:
        return ""
    found = hashlib.sha256()
    for name in sorted(sources):
        found.update(f"{name}\0".encode() + without_comments(sources[name].read_bytes()) + b"\0")
    return found.hexdigest()[:DIGITS]


def without_comments(source: bytes) -> bytes:
    """Return Python code without comments, blank lines and trailing spaces; anything else unchanged."""
    try:
        text = source.decode()
        lines = text.split("\n")
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.COMMENT:
                row, column = token.start
                lines[row - 1] = lines[row - 1][:column]
    except (UnicodeDecodeError, tokenize.TokenError, SyntaxError, IndexError):
        return source
    return "\n".join(line.rstrip() for line in lines if line.strip()).encode()
