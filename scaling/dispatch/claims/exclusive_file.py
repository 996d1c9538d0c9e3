"""Files that appear whole, under a name that is free or in place of another file, also on network file systems."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path


def create_exclusively(path: Path, content: bytes, *, token: str) -> int | None:
    """Create a file by link(2), which fails if there already is one; return it open, or None if it fails.

    token: a name that no other process uses.
    """
    descriptor, temporary = _write_aside(path, content, token)
    try:
        os.link(temporary, path)
    except OSError as error:
        if _is_open_at(path, descriptor):
            return descriptor
        os.close(descriptor)
        if error.errno == errno.EEXIST:
            return None
        if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS):
            raise
        return _create_without_links(path, content)
    finally:
        temporary.unlink(missing_ok=True)
    return descriptor


def replace_file(path: Path, content: bytes, *, token: str) -> int:
    """Replace a file by a new one in one step, so that the name is never free; return the new one open."""
    descriptor, temporary = _write_aside(path, content, token)
    try:
        temporary.replace(path)
    except OSError:
        if _is_open_at(path, descriptor):
            return descriptor
        os.close(descriptor)
        temporary.unlink(missing_ok=True)
        raise
    return descriptor


def _is_open_at(path: Path, descriptor: int) -> bool:
    """Return whether an open file has this name, as after a change of names whose answer the file server has lost."""
    with suppress(OSError):
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
    return False


def _write_aside(path: Path, content: bytes, token: str) -> tuple[int, Path]:
    """Write a file beside `path`; return it open, and its path."""
    if path.parent.is_symlink():  # it may lead to someone else's files
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path.parent))
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{token}.aside")
    descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
    try:
        os.write(descriptor, content)
    except OSError:
        os.close(descriptor)
        temporary.unlink(missing_ok=True)
        raise
    return descriptor, temporary


def _create_without_links(path: Path, content: bytes) -> int | None:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
    except FileExistsError:
        return None
    os.write(descriptor, content)
    return descriptor
