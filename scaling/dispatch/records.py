"""Whether a run is settled: its record is there, and whole."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable

from scaling.folders import RunFolder, set_aside

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


def clear_for_training(files: RunFolder) -> None:
    """Put the record of a run that is done again out of the way; its claim must be held."""
    if not files.record.exists():
        return
    why = "lacks weights that are needed" if settled(files) else "was cut in half"
    log.warning("found a record that %s; set aside as %s; the run is done again", why, set_aside(files.record).name)
