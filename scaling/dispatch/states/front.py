"""Runs that were moved to the front of a sweep: all workers take them first, running ones too."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

from scaling.folders import SweepFolder, write_aside
from scaling.plan.rows import read_columns
from scaling.security.reading import read_text

BEFORE = ("run_id", "parent", "trunk")  # columns of what a run starts from


def front_runs(folder: SweepFolder) -> tuple[str, ...]:
    """Return the runs at the front of a sweep, in their order."""
    if not folder.front.exists():
        return ()
    try:
        return tuple(map(str, json.loads(read_text(folder.front))))
    except (OSError, ValueError, RecursionError, TypeError):
        return ()


def move_to_front(folder: SweepFolder, runs: Sequence[str]) -> tuple[str, ...]:
    """Put runs before all others, each behind what it starts from; return the runs that this moved."""
    needs = {run_id: [name for name in needs if name] for run_id, *needs in read_columns(folder, BEFORE)}
    moved = tuple(dict.fromkeys(each for run_id in runs for each in _with_ancestors(run_id, needs)))
    now = set(moved)
    earlier = (run_id for run_id in front_runs(folder) if run_id not in now)
    write_aside(folder.front, json.dumps([*moved, *earlier]))
    return moved


def clear_front(folder: SweepFolder) -> None:
    """Let all runs have their usual places again."""
    folder.front.unlink(missing_ok=True)


def _with_ancestors(run_id: str, needs: Mapping[str, Sequence[str]]) -> Iterable[str]:
    """Yield all that a run starts from, what comes first before what comes later, and then the run."""
    for need in needs.get(run_id, ()):
        yield from _with_ancestors(need, needs)
    yield run_id


class Front:
    """The front of a sweep as a worker sees it: read again when its file has changed."""

    def __init__(self, folder: SweepFolder) -> None:
        self._folder = folder
        self._seen: tuple[int, int] | None = None

    def news(self) -> tuple[str, ...] | None:
        """Return the runs at the front, None where they are those of the last call (at first: none)."""
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
