"""Supervise the workers of this machine until all have ended: replace dead ones, show the state, handle Ctrl-C."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from scaling.dispatch.claims.claim import read_claim
from scaling.dispatch.claims.stop import Stop, StopRequest, stopped_by_signals
from scaling.dispatch.states.paused import PAUSED
from scaling.dispatch.states.read_state import Reader
from scaling.dispatch.states.state import State, Status
from scaling.dispatch.task import PROCESS_CHANGED, Report
from scaling.errors import UserError
from scaling.folders import Place, exists
from scaling.numbers import many
from scaling.security.rights import check_own_file

if TYPE_CHECKING:
    from scaling.dispatch.local.pool import Pool
    from scaling.dispatch.show import View

POLL = 0.02  # seconds between two checks of the workers
LOOK = 0.5  # least seconds between two reads of the runs' states
SPARE = 20  # least pause between two reads, in units of the time that a read takes
DEATHS = 3  # replacements, for each worker started, of workers that died without a run
IN_A_ROW = 30  # workers that died during runs, with no run settled between, after which no more are started


class Supervisor:
    """Supervises the workers of a pool until their end."""

    def __init__(self, pool: Pool, reader: Reader, view: View) -> None:
        self._pool = pool
        self._reader = reader
        self._view = view
        self._stop = Stop()
        self._alive = list(pool.jobs)
        self._results = pool.task.folder.results
        self._home, self._jobs = Place(self._results), Place(pool.dispatch.path)
        self._deaths = DEATHS * len(pool.jobs)
        self._in_a_row = self._settled = 0
        self._worked = False  # a worker died during a run, so that not all died at their start
        self._reports: list[Report] = []
        self.held = ""
        self.out_of_reach: dict[str, str] = {}

    def until_done(self) -> bool:
        """Wait until all workers have ended, in any case; return whether they were asked to stop."""
        try:
            with stopped_by_signals(self._stop), self._view:
                self._wait()
        finally:
            self._pool.close()
        self._judge()
        return bool(self._stop.reason) or any(report.reason in ("cancelled", PAUSED) for report in self._reports)

    def _wait(self) -> None:
        look = 0.0
        while self._alive:
            self._check_places()
            if self._stop.reason:
                self._leave()
                return
            self._reap()
            if time.monotonic() > look:
                began = time.monotonic()
                self._view.update(self._reader.read())
                look = time.monotonic() + max(LOOK, SPARE * (time.monotonic() - began))
            time.sleep(POLL)
        self._check_places()
        self._view.update(self._reader.read())

    def _check_places(self) -> None:
        """Raise UserError if the folder of the runs or of the dispatch was moved or removed."""
        if self._home.gone:
            raise UserError(
                f"found that {self._results} was moved or removed while its runs were trained; wanted it to stay; "
                f"nothing that was written is lost: give the same command with results=DIR for where it is now"
            )
        if self._jobs.gone:
            raise UserError(
                f"found that {self._pool.dispatch.path}, from which the workers take their runs, was removed while "
                f"they worked; wanted it to stay; what is settled is kept: give the same command again"
            )

    def _reap(self) -> None:
        """Collect workers that have ended; replace those that died or were interrupted while runs are left."""
        for job in [job for job in self._alive if job.done()]:
            self._alive.remove(job)
            report = report_of(job)
            if report is not None and not self._to_replace(report):
                self._reports.append(report)
            elif self._left() and (report is not None or self._may_die(job)):
                self._pool.start_another(job)
                self._alive.append(self._pool.jobs[-1])

    def _may_die(self, job: Any) -> bool:
        """Count the death of a worker; return whether to replace it."""
        status = self._reader.read()
        if status.settled > self._settled:
            self._in_a_row, self._settled = 0, status.settled
        if not self._died_under_a_run(job, status):
            self._deaths -= 1
            return self._deaths >= 0 or self._give_up("workers die before they have taken a run")
        self._worked = True
        self._in_a_row += 1
        return self._in_a_row <= IN_A_ROW or self._give_up(f"{IN_A_ROW} workers in a row died during their runs")

    def _give_up(self, why: str) -> bool:
        """Say why no more workers are started; return False."""
        self._view.say(f"{why}; no more are started; look into {self._pool.dispatch.path}/*.err")
        return False

    def _died_under_a_run(self, job: Any, status: Status) -> bool:
        from scaling.dispatch.local.jobs import process_of

        process = process_of(job).process
        open_runs = status.of(State.PENDING, State.MISSING, State.FAILED)
        found = (read_claim(self._pool.task.folder.run(run.run_id).claim) for run in open_runs)
        return process is not None and any(claim is not None and claim.process == process for claim in found)

    def _to_replace(self, report: Report) -> bool:
        """Return whether a worker was interrupted by others, or its process was changed, while runs are left."""
        sent_away = report.reason == "interrupted" and not self._stop.reason
        return (sent_away or report.reason == PROCESS_CHANGED) and self._left()

    def _left(self) -> bool:
        return bool(self._reader.read().of(State.PENDING, State.MISSING))

    def _leave(self) -> None:
        """Ask the workers to stop, and wait `grace_seconds` for their checkpoints."""
        self._pool.dispatch.ask_to_stop(StopRequest("interrupted"))
        self._view.say(f"stopping: {len(self._alive)} workers write checkpoints (Ctrl-C again stops at once)")
        until = time.monotonic() + self._pool.settings.grace_seconds
        try:
            while any(not job.done() for job in self._alive) and time.monotonic() < until:
                time.sleep(POLL)
        except KeyboardInterrupt:
            return

    def _judge(self) -> None:
        """Evaluate the workers' reports: raise UserError for a full disk, note runs held by a limit or out of reach."""
        for report in self._reports:
            self.out_of_reach |= report.out_of_reach
            if report.reason == "disk_full":
                raise UserError(
                    f"{report.sentence}; wanted room for checkpoints and records; "
                    f"free some and give the same command again: what is settled stays"
                )
            if report.held and report.sentence:
                self.held = f"{many(len(set(report.held)), 'run')} not started: {report.sentence}"
        if not self._reports and not self._worked and not self._stop.reason:
            raise UserError(f"found that every worker died at its start; look into {self._pool.dispatch.path}/*.err")


def report_of(job: Any) -> Report | None:
    """Return a worker's report, None if it died."""
    if not exists(job.paths.result_pickle):
        return None
    check_own_file(job.paths.result_pickle)
    if job.exception() is not None:
        return None
    result = job.result()
    return result if isinstance(result, Report) else None
