"""Choose the runs that a worker takes into a stack, so that other workers get their share."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

from scaling.dispatch.queue import Entry
from scaling.dispatch.task import Task
from scaling.folders import exists

LOOKED_AT = 1_024  # runs whose records are checked for each stack


def fair_share(leader: Entry, rest: Sequence[Entry], task: Task) -> list[Entry]:
    """Return the runs with the leader's stack key that a worker should try to claim, neighbours in the queue.

    Their work is one worker's share of all that is left, at least one run. Runs that others are training count as
    whole, however much they have done, so that workers that look at about the same time cut the same parts, and choose
    different ones; those that this worker has found taken before are not in `rest`. Claimed runs are chosen only if
    none is free, because their workers may have died.
    """
    left = [entry for entry in rest[:LOOKED_AT] if not exists(task.folder.run(entry.run_id).record)]
    same = [entry for entry in left if entry.stack_key == leader.stack_key]
    free = {entry.run_id for entry in same if not exists(task.folder.run(entry.run_id).claim)}
    work = work_of(left) / max(1, task.workers) or 1.0
    own = [entry for entry in _part(same, work, task) if entry.run_id in free]
    return own or _part([entry for entry in same if entry.run_id in free] or same, work, task)


def _part(entries: Sequence[Entry], work: float, task: Task) -> list[Entry]:
    """Return this worker's part of the entries, with about so much work."""
    parts = _parts(entries, work)
    return parts[_number(task) % len(parts)] if parts else []


def work_of(entries: Sequence[Entry]) -> float:
    """Return the total work of runs."""
    return sum(map(_work, entries))


def _parts(entries: Sequence[Entry], work: float) -> list[list[Entry]]:
    """Split entries into parts of about so much work, each with at least one run."""
    parts, before = dict[int, list[Entry]](), 0.0
    for entry in entries:
        parts.setdefault(int((before + _work(entry) / 2) / work), []).append(entry)
        before += _work(entry)
    return list(parts.values())


def _work(entry: Entry) -> float:
    """Return the work of a run: forecast seconds or relative work, or FLOPs in a queue that lacks both."""
    return entry.length or entry.C


def _number(task: Task) -> int:
    """Return a number for a worker from its name, its index in a job array, or its job id."""
    digits = "".join(filter(str.isdigit, task.name)) or task.job.partition("_")[2]
    return int(digits) if digits.isdigit() else zlib.crc32(task.job.encode())
