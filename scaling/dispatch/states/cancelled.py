"""Runs that were cancelled by name: they stay cancelled until they are retried by name."""

from __future__ import annotations

import json
from collections.abc import Iterable

from scaling.folders import SweepFolder, exists, write_atomically
from scaling.security.reading import parse_json, read_text


def cancelled_runs(folder: SweepFolder) -> frozenset[str]:
    """Return the runs of a sweep that were cancelled by name."""
    if not exists(folder.cancelled):
        return frozenset()
    try:
        return frozenset(parse_json(read_text(folder.cancelled)))
    except (FileNotFoundError, ValueError, TypeError):
        return frozenset()


def change_cancelled(folder: SweepFolder, *, add: Iterable[str] = (), remove: Iterable[str] = ()) -> None:
    """Note that runs were cancelled by name, or are asked for again."""
    before = cancelled_runs(folder)
    after = (before | set(add)) - set(remove)
    if after != before:
        write_atomically(folder.cancelled, json.dumps(sorted(after)))
