"""One run in this process, with the same claim, attempt and record as in a worker."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from scaling.dispatch.claims.claim import read_claim
from scaling.dispatch.claims.heartbeat import Heartbeat
from scaling.dispatch.claims.stop import Stop, StopCheck, stopped_by_signals
from scaling.dispatch.launchers import Local
from scaling.dispatch.order import Order
from scaling.dispatch.queue import Entry
from scaling.dispatch.states.attempts import FAILURES, read_attempts
from scaling.dispatch.states.outcome import Failure, Outcome
from scaling.dispatch.states.paused import pause_check
from scaling.dispatch.task import Report, Result, Task
from scaling.dispatch.worker import Worker
from scaling.errors import UserError
from scaling.folders import RunFolder, check_writable

NO_QUEUE = Path(os.devnull)  # the worker is given its run


def run_single(order: Order, settings: Local, *, watch: Callable[[Any], None] | None = None) -> Outcome:
    """Train the one run of an order in this process; Ctrl-C writes a checkpoint and returns.

    watch: called with the progress.
    """
    started = time.monotonic()
    [entry] = order.entries
    check_writable(order.folder)
    if not order.open_entries:
        return Outcome(runs=1, settled=1, found=1)
    folder, stop = order.folder, Stop()
    heartbeat = Watched(stop, watch, checks=(pause_check(folder.paused),))
    task = Task(folder, NO_QUEUE, name="single", beat_seconds=settings.beat_seconds, train=order.train)
    heartbeat.start()
    try:
        with stopped_by_signals(stop):
            worker = Worker(task, stop=stop, heartbeat=heartbeat)
            result = worker.settle(entry)
    finally:
        heartbeat.end()
    seconds = time.monotonic() - started
    if result is Result.SETTLED:
        return Outcome(runs=1, settled=1, found=0, seconds=seconds)
    files = folder.run(entry.run_id)
    _refuse_unready(entry, result, files)
    if stop.reason and stop.reason != "disk_full":
        return Outcome(runs=1, settled=0, found=0, stopped=True, seconds=seconds)
    _refuse_unwritable(entry, worker.report, stop.reason, files)
    return Outcome(runs=1, settled=0, found=0, failures=_failures(entry, files), seconds=seconds)


def _refuse_unready(entry: Entry, result: Result, files: RunFolder) -> None:
    """Raise UserError for a run whose parent is not settled, or that another process trains."""
    if result in (Result.EARLY, Result.BLOCKED):
        raise UserError(
            f"found run {entry.needs[0]} without weights at step {entry.step}, where run {entry.run_id} starts; "
            f"wanted it settled; give its command again with train.keep=milestones"
        )
    if result in (Result.BUSY, Result.UNSURE):
        claim = read_claim(files.claim)
        who = f"process {claim.process.pid} on {claim.process.host}" if claim else "another process"
        raise UserError(
            f"found run {entry.run_id} being trained by {who}; wanted it free; wait for it, or stop that one"
        )


def _refuse_unwritable(entry: Entry, report: Report, reason: str, files: RunFolder) -> None:
    """Raise UserError if the disk was full, or the run's files were out of reach."""
    if reason == "disk_full":
        raise UserError(f"{report.sentence}; wanted room for a record; free some and give the same command again")
    if report.out_of_reach:
        raise UserError(
            f"found files of run {entry.run_id} out of reach ({report.out_of_reach[entry.run_id]}); wanted to "
            f"read and write {files.path}; mend that, and give the same command again"
        )


def _failures(entry: Entry, files: RunFolder) -> tuple[Failure, ...]:
    """Return the failure of the last attempt, if it is one; UserError if the run was refused."""
    last = read_attempts(files)[-1]
    if last["cause"] == "refused":
        raise UserError(last["error"])
    failure = Failure(entry.run_id, entry.label, last["cause"], last["error"])
    return (failure,) if last["cause"] in FAILURES else ()


class Watched(Heartbeat):
    """A heartbeat that also passes the progress to a callback."""

    def __init__(self, stop: Stop, watch: Callable[[Any], None] | None, *, checks: Sequence[StopCheck] = ()) -> None:
        super().__init__(stop, checks)
        self._passed_on = watch

    def watch(self, run_id: str, progress: Any) -> None:
        """Note the progress for the claim, and pass it on."""
        super().watch(run_id, progress)
        if self._passed_on is not None:
            self._passed_on(progress)
