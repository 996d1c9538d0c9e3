"""Whether a run is settled: its record is there, and whole."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable

from scaling.folders import RunFolder

log = logging.getLogger(__name__)


def settled(files: RunFolder, keeps: Iterable[int] = ()) -> bool:
    """Return whether a run has a whole record and, unless it diverged, the weights at the steps that it `keeps`."""
    try:
        record = json.loads(files.record.read_bytes())
    except (FileNotFoundError, ValueError):
        return False
    if not isinstance(record, dict):
        return False
    return record.get("status") == "diverged" or all(files.kept(step).is_file() for step in keeps)


def set_aside_broken(files: RunFolder) -> bool:
    """Rename a record that was cut in half, so that the run is done again; its claim must be held."""
    if not files.record.exists():
        return False
    broken = files.record.with_name(files.record.name + ".broken")
    files.record.replace(broken)
    log.warning("found a record cut in half; set aside as %s; the run is done again", broken)
    return True
