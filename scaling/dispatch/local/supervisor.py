"""Looks after the workers of this machine until all have ended: replaces the dead, shows the state, takes Ctrl-C."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from scaling.dispatch.claims.stop import Signals, Stop, StopRequest
from scaling.dispatch.states.paused import PAUSED
from scaling.dispatch.states.read_state import Reader
from scaling.dispatch.states.state import State, Status
from scaling.dispatch.task import Report
from scaling.errors import UserError
from scaling.folders import Place
from scaling.security.rights import check_own

if TYPE_CHECKING:
    from scaling.dispatch.local.pool import Pool
    from scaling.dispatch.show import View

POLL = 0.02  # seconds between two looks at the workers
LOOK = 0.5  # seconds between two looks at the runs, or
SPARE = 20  # times as long as a look takes
DEATHS = 3  # workers replaced, for each one started: a machine that kills them all is not fought for ever
HALVINGS = 10  # and as many more until the run stands alone under which a stack dies


class Supervisor:
    """Waits for the workers of a pool."""

    def __init__(self, pool: Pool, reader: Reader, view: View | None) -> None:
        self._pool = pool
        self._reader = reader
        self._view = view
        self._stop = Stop()
        self._alive = list(pool.jobs)
        self._results = pool.task.folder.results
        self._home = Place(self._results)
        self._deaths = DEATHS * len(pool.jobs) + (HALVINGS if pool.stacks else 0)
        self._reports: list[Report] = []
        self.held = ""
        self.out_of_reach: dict[str, str] = {}

    def until_done(self) -> bool:
        """Wait until every worker has ended; return whether they were asked to stop. Always leaves none behind."""
        try:
            with Signals(self._stop):
                if self._view is None:
                    self._wait()
                else:
                    with self._view:
                        self._wait()
        finally:
            self._pool.close()
        self._judge()
        return bool(self._stop.reason) or any(report.reason in ("cancelled", PAUSED) for report in self._reports)

    def _wait(self) -> None:
        look = 0.0
        while self._alive:
            if self._home.gone:
                raise UserError(
                    f"found that {self._results} was moved or removed while its runs were trained; wanted it to stay; "
                    f"nothing that was written is lost: give the same command with results=DIR for where it is now"
                )
            if self._stop.reason:
                self._leave()
                return
            self._reap()
            if time.monotonic() > look:
                began = time.monotonic()
                self._show()
                look = time.monotonic() + max(LOOK, SPARE * (time.monotonic() - began))
            time.sleep(POLL)
        self._show()

    def _show(self) -> Status | None:
        if self._view is None:
            return None
        status = self._reader.read()
        self._view.update(status)
        return status

    def _reap(self) -> None:
        """Note the workers that have ended; replace those that died, or that others sent away, while runs are left."""
        for job in [job for job in self._alive if job.done()]:
            self._alive.remove(job)
            report = report_of(job)
            if report is not None and not (report.reason == "interrupted" and not self._stop.reason and self._left()):
                self._reports.append(report)
            elif self._deaths > 0 and self._left():
                self._deaths -= 1
                self._pool.start(len(self._pool.jobs))
                self._alive.append(self._pool.jobs[-1])

    def _left(self) -> bool:
        return bool(self._reader.read().of(State.PENDING, State.MISSING))

    def _leave(self) -> None:
        """Ask the workers to write their checkpoints and end, and give them time for it."""
        self._pool.dispatch.ask_to_stop(StopRequest("interrupted"))
        if self._view is not None:
            self._view.say(f"stopping: {len(self._alive)} workers write their checkpoints (Ctrl-C again: at once)")
        until = time.monotonic() + self._pool.settings.grace_seconds
        try:
            while any(not job.done() for job in self._alive) and time.monotonic() < until:
                time.sleep(POLL)
        except KeyboardInterrupt:
            return

    def _judge(self) -> None:
        """Say what the workers reported: a full disk is an error, a limit reached is told."""
        for report in self._reports:
            self.out_of_reach |= report.out_of_reach
            if report.reason == "disk_full":
                raise UserError(
                    f"{report.sentence}; wanted room for checkpoints and records; "
                    f"free some and give the same command again: what is settled stays"
                )
            if report.held and report.sentence:
                self.held = f"{len(set(report.held))} runs were not started: {report.sentence}"
        if not self._reports and not self._stop.reason:
            raise UserError(f"found that every worker died at its start; look into {self._pool.dispatch.path}/*.err")


def report_of(job: Any) -> Report | None:
    """Return what a worker reported, None where it died."""
    if not job.paths.result_pickle.exists():
        return None
    check_own(job.paths.result_pickle)
    if job.exception() is not None:
        return None
    result = job.result()
    return result if isinstance(result, Report) else None
