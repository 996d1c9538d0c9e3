"""Runs that were moved to the front of a sweep, which all workers take first, also those already working."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

from scaling.folders import SweepFolder, exists, write_atomically
from scaling.plan.rows import read_columns
from scaling.security.reading import parse_json, read_text

BEFORE = ("run_id", "parent", "trunk")  # columns with the runs that a run starts from


def front_runs(folder: SweepFolder) -> tuple[str, ...]:
    """Return the runs at the front of a sweep, in their order."""
    if not exists(folder.front):
        return ()
    try:
        return tuple(map(str, parse_json(read_text(folder.front))))
    except (OSError, ValueError, TypeError):
        return ()


def move_to_front(folder: SweepFolder, runs: Sequence[str]) -> tuple[str, ...]:
    """Move runs to the front, each after the runs that it starts from; return all that were moved."""
    needs = {run_id: [name for name in needs if name] for run_id, *needs in read_columns(folder, BEFORE)}
    moved = tuple(dict.fromkeys(each for run_id in runs for each in _with_ancestors(run_id, needs)))
    now = set(moved)
    earlier = (run_id for run_id in front_runs(folder) if run_id not in now)
    write_atomically(folder.front, json.dumps([*moved, *earlier]))
    return moved


def clear_front(folder: SweepFolder) -> None:
    """Restore the usual order of all runs."""
    folder.front.unlink(missing_ok=True)


def _with_ancestors(run_id: str, needs: Mapping[str, Sequence[str]]) -> Iterable[str]:
    """Yield all ancestors of a run, the earliest first, and then the run."""
    for need in needs.get(run_id, ()):
        yield from _with_ancestors(need, needs)
    yield run_id


class Front:
    """A worker's view of the front of a sweep, read again when its file has changed."""

    def __init__(self, folder: SweepFolder) -> None:
        self._folder = folder
        self._seen: tuple[int, int] | None = None

    def news(self) -> tuple[str, ...] | None:
        """Return the runs at the front if they have changed since the last call, else None.

        At the first call, None if there are none.
        """
        try:
            facts = self._folder.front.stat()
        except OSError:
            stamp = None
        else:
            stamp = facts.st_mtime_ns, facts.st_ino
        if stamp == self._seen:
            return None
        self._seen = stamp
        return front_runs(self._folder)
