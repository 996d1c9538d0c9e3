"""Retry while the disk is full, or while a file server does not answer."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from scaling.dispatch.claims.stop import Stop
from scaling.dispatch.queue import Entry
from scaling.dispatch.states.attempts import disk_full, passing
from scaling.dispatch.task import Report, Result, Task

log = logging.getLogger(__name__)
T = TypeVar("T")
PASSING_SECONDS = 30.0  # to wait for a file server
SPACE_TRIES = (1, 2, 4, 8, 15, 30, 60, 60, 60, 60)  # seconds between two tries on a full disk


class FileRetries:
    """Repeats what a worker does with a run after temporary file errors."""

    def __init__(self, task: Task, stop: Stop, report: Report) -> None:
        self._task, self._stop, self._report = task, stop, report

    def __call__(self, entry: Entry, work: Callable[[], T]) -> T | Result:
        """Return the result of `work`; wait and retry if the disk is full, or files are temporarily out of reach."""
        waited = 0.0
        for pause in (*SPACE_TRIES, 0):
            try:
                return work()
            except OSError as error:
                full = disk_full(error)
                patience = self._task.patience if full else PASSING_SECONDS if passing(error) else 0.0
                if pause == 0 or waited + pause > patience:
                    return self._disk_full(error) if full else self._out_of_reach(entry, error)
                log.warning("%s under %s; trying again in %d s", error.strerror, self._task.folder.results, pause)
                time.sleep(pause)
                waited += pause
        return Result.AGAIN

    def skip_unreadable(self, run_id: str) -> Result:
        """Skip a run whose line in the queue cannot be read."""
        return self._leave(run_id, run_id, f"its line in {self._task.queue} is cut")

    def _disk_full(self, error: OSError) -> Result:
        self._stop.say("disk_full")
        self._report.sentence = f"found no space left under {self._task.folder.results} ({error.strerror})"
        return Result.AGAIN

    def _out_of_reach(self, entry: Entry, error: OSError) -> Result:
        """Skip a run whose files cannot be read or written."""
        return self._leave(entry.run_id, entry.label, f"{error.strerror or error}: {error.filename or entry.run_id}")

    def _leave(self, run_id: str, label: str, why: str) -> Result:
        self._report.out_of_reach[run_id] = why
        log.warning("run %s (%s) is left: %s", run_id, label, why)
        return Result.FAILED
