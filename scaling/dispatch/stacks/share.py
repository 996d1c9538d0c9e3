"""Which runs a worker takes into one stack, so that other workers get their share."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

from scaling.dispatch.queue import Entry
from scaling.dispatch.task import Task

LOOKED_AT = 1_024  # runs whose records are looked for, at each stack


def fair_share(leader: Entry, rest: Sequence[Entry], task: Task) -> list[Entry]:
    """Return the runs of the leader's stack key that a worker should try to take, neighbours in the queue.

    They are as much work as a worker's part of all that is left, what others are training included; at least one run.
    Workers that look at the same moment take different parts, whatever one of them has claimed already. Runs that are
    claimed are left out where others are free: who claimed them may have died.
    """
    left = [entry for entry in rest[:LOOKED_AT] if not task.folder.run(entry.run_id).record.exists()]
    same = [entry for entry in left if entry.stack_key == leader.stack_key]
    free = {entry.run_id for entry in same if not task.folder.run(entry.run_id).claim.exists()}
    work = work_of(left) / max(1, task.workers) or 1.0
    own = [entry for entry in _part(same, work, task) if entry.run_id in free]
    return own or _part([entry for entry in same if entry.run_id in free] or same, work, task)


def _part(entries: Sequence[Entry], work: float, task: Task) -> list[Entry]:
    """Return a worker's own of the parts of about so much work."""
    parts = _parts(entries, work)
    return parts[_number(task) % len(parts)] if parts else []


def work_of(entries: Sequence[Entry]) -> float:
    """Return the work of runs: by their forecasts, or their FLOPs where no speed is known."""
    return sum(map(_work, entries))


def _parts(entries: Sequence[Entry], work: float) -> list[list[Entry]]:
    """Cut a queue into parts of about so much work, each of one run at least."""
    parts, before = dict[int, list[Entry]](), 0.0
    for entry in entries:
        parts.setdefault(int((before + _work(entry) / 2) / work), []).append(entry)
        before += _work(entry)
    return list(parts.values())


def _work(entry: Entry) -> float:
    """Return the work of a run: its forecast, or its FLOPs where no speed is known."""
    return entry.forecast_seconds or entry.C


def _number(task: Task) -> int:
    """Return a number that differs between workers: of its name, of its job in an array, or made of the job."""
    digits = "".join(filter(str.isdigit, task.name)) or task.job.partition("_")[2]
    return int(digits) if digits.isdigit() else zlib.crc32(task.job.encode())
