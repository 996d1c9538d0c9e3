"""The age of files by the clock that dates them: on network file systems the server's, which may differ by minutes."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

PERIOD = 600.0  # seconds after which the clocks are compared again
_leads: dict[tuple[int, float], float] = {}  # by file system and period


def age(path: Path) -> float:
    """Return how many seconds ago a file was written, by the clock that dates it; OSError if it cannot be reached.

    A time in the future is no better than one in the past.
    """
    facts = path.stat()
    key = facts.st_dev, time.monotonic() // PERIOD
    if key not in _leads:
        _leads[key] = _lead(path.parent)
    return abs(time.time() + _leads[key] - facts.st_mtime)


def _lead(folder: Path) -> float:
    """Return by how many seconds the clock of a folder's files is ahead; 0 where no file can be made to compare."""
    try:
        with tempfile.TemporaryFile(dir=folder) as made:
            return os.fstat(made.fileno()).st_mtime - time.time()
    except OSError:
        return 0.0
