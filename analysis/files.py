"""Write files atomically, and read untrusted ones of a results folder: only regular files of bounded size.

Opening a pipe would block for ever, and a device or a sparse file would fill the memory.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

MOST = 1 << 30  # bytes


def read_file(path: Path | str) -> bytes:
    """Read a regular file; raise `OSError` for anything else or a file that is too large."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            raise OSError(errno.EINVAL, "no regular file", str(path))
        if facts.st_size > MOST:
            raise OSError(errno.EFBIG, f"larger than {MOST:,} bytes", str(path))
        return file.read()


def is_name(text: str) -> bool:
    """Tell whether a text is a valid run id that cannot point outside its folder."""
    return "/" not in text and text not in ("", ".", "..")


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a file atomically: beside it first, then renamed."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_bytes(content.encode() if isinstance(content, str) else content)
    temporary.replace(path)
