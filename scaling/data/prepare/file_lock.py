"""A lock for one process at a time, over all machines that share the folder. It ends with the process that holds it."""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scaling.errors import UserError

log = logging.getLogger(__name__)


class NoLocks(UserError):
    """Files of a folder cannot be locked."""


@contextmanager
def locked(path: Path, *, doing: str) -> Iterator[None]:
    """Hold the lock file `path` for the block, and remove it; waits while another process holds it, and says so once.

    doing: what only one process at a time may be doing, for messages. Raises `NoLocks` if files cannot be locked.
    """
    logged = False
    while True:
        with path.open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not logged:
                    log.warning("another process is %s; waiting for it", doing)
                logged = True
                fcntl.flock(lock, fcntl.LOCK_EX)
            except OSError as error:
                path.unlink(missing_ok=True)
                raise NoLocks(
                    f"found that files in {path.parent} cannot be locked ({error.strerror}); wanted a file system with "
                    f"locks, because only one process at a time may be {doing}; choose a folder on another one"
                ) from error
            if not _is_still(lock.fileno(), path):  # its last holder has removed it: another process may hold a new one
                continue
            try:
                yield
            finally:
                path.unlink(missing_ok=True)
            return


def _is_still(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
