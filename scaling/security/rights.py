"""File permissions: of files whose content their reader executes, and of results that a group shares.

Only the user may write the files that jobs read; everybody who may write into the results folder may write results.
"""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scaling.errors import UserError

OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
OWN_FILE, OWN_FOLDER, GROUP_FOLDER = 0o644, 0o755, 0o2770


@contextmanager
def owner_only() -> Iterator[None]:
    """Within the block, let nobody else write files that this process or its children create."""
    before = os.umask(0o777)
    os.umask(before | OTHERS_WRITE)
    try:
        yield
    finally:
        os.umask(before)


@contextmanager
def shared_as(folder: Path) -> Iterator[None]:
    """Within the block, let a folder's group write files that this process creates, if it may write into the folder."""
    before = os.umask(0o777)
    try:
        os.umask(before & ~stat.S_IRWXG if _is_shared(folder) else before)
        yield
    finally:
        os.umask(before)


def _is_shared(folder: Path) -> bool:
    try:
        return bool(folder.stat().st_mode & stat.S_IWGRP)
    except OSError:
        return False


def check_own_file(path: Path) -> None:
    """Raise UserError for a file or folder that others have written or may write, since its content is executed.

    On a file system without owners and permissions nothing is checked.
    """
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    wrong = _wrong(found)
    if wrong and _keeps_rights(path.parent):
        raise UserError(
            f"found {path}, which {wrong}; wanted files and folders that only you can write, because the code that "
            f"they name runs with your rights; give `scaling run` again"
        )


def _wrong(found: os.stat_result) -> str:
    if stat.S_ISLNK(found.st_mode):
        return "is a link"
    if found.st_uid != os.getuid():
        return "is not yours"
    return "others may write" if found.st_mode & OTHERS_WRITE else ""


def _keeps_rights(folder: Path) -> bool:
    """Return whether the folder's file system has owners and permissions; some network shares do not."""
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".rights") as made:
            return not _wrong(Path(made.name).lstat())
    except OSError:
        return True
