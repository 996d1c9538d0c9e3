"""Read files that others may have written: only regular files of a bounded size.

Opening a pipe may wait forever, and reading a device or a sparse file may fill the memory.
"""

from __future__ import annotations

import errno
import io
import json
import os
import stat
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, BinaryIO

from scaling.errors import UserError

MOST = 1 << 30  # bytes of a file, enough for plans and queues of a million runs


class NotAFile(OSError, ValueError):
    """The path is not a regular file; handled like an unreachable or a broken one."""


def open_file(path: Path | str, *, most: int | None = MOST) -> BinaryIO:
    """Open a regular file of at most `most` bytes for reading; NotAFile if it is something else."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        size = check_regular(descriptor, path).st_size
        if most is not None and size > most:
            raise NotAFile(errno.EFBIG, f"larger than {most:,} bytes", str(path))
    except NotAFile:
        os.close(descriptor)
        raise
    return os.fdopen(descriptor, "rb")


def check_regular(descriptor: int, path: Path | str) -> os.stat_result:
    """Return the status of an open file; NotAFile if it is a pipe, a folder or a device."""
    facts = os.fstat(descriptor)
    if not stat.S_ISREG(facts.st_mode):
        raise NotAFile(errno.EINVAL, "no regular file", str(path))
    return facts


def check_name(run_id: str, where: Path) -> None:
    """Raise UserError for a run id that would be a path outside of the runs' folder."""
    if "/" in run_id or run_id in ("", ".", ".."):
        raise UserError(f"found a run called {run_id!r} in {where}; wanted an id; somebody has changed its files")


def read_bytes(path: Path | str, *, most: int | None = MOST) -> bytes:
    """Read a regular file."""
    with open_file(path, most=most) as file:
        return file.read()


def read_text(path: Path | str, *, errors: str = "strict") -> str:
    """Read a regular file as text, with universal newlines."""
    with io.TextIOWrapper(open_file(path), encoding="utf-8", errors=errors) as file:
        return file.read()


def parse_json(text: str | bytes) -> Any:
    """Parse JSON; ValueError if it is broken, or nested too deeply to be read."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError(str(error)) from error


def known_fields(kind: type, raw: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a dataclass's fields in parsed JSON, without those that only newer versions know."""
    names = {f.name for f in fields(kind)}
    return {name: value for name, value in raw.items() if name in names}
