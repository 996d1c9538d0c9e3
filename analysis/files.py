"""Read files of a results folder, where others may have put anything: only regular files of a bounded size.

Who opens a pipe waits for ever, and a device or a file of holes fills the memory.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

MOST = 1 << 30  # bytes


def read_file(path: Path | str) -> bytes:
    """Read a regular file; OSError where something else is there, or far too much."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            raise OSError(errno.EINVAL, "no regular file", str(path))
        if facts.st_size > MOST:
            raise OSError(errno.EFBIG, f"larger than {MOST:,} bytes", str(path))
        return file.read()


def is_name(text: str) -> bool:
    """Tell whether a run's id is one, and leads nowhere else than to its folder."""
    return "/" not in text and text not in ("", ".", "..")
