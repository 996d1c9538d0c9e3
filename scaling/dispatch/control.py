"""Control a running sweep: cancel it, retry failed runs, read the logs of a run."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scaling.dispatch.claims.claim import read_claim
from scaling.dispatch.claims.stop import StopRequest, read_stop_request
from scaling.dispatch.dispatches import DispatchFolder, dispatches
from scaling.dispatch.launcher import launcher_of_dispatch
from scaling.dispatch.process import this_user
from scaling.dispatch.queue import Entry, read_queue
from scaling.dispatch.show import words_of
from scaling.dispatch.states.attempts import read_attempts
from scaling.dispatch.states.cancelled import change_cancelled
from scaling.dispatch.states.read_plan import read_plan
from scaling.dispatch.states.read_state import Reader
from scaling.dispatch.states.settled import SettledRuns, is_settled
from scaling.dispatch.states.state import State, Status
from scaling.errors import UserError
from scaling.folders import RunFolder, SweepFolder, read_lines
from scaling.security.reading import read_text
from scaling.security.rights import check_own_file

if TYPE_CHECKING:
    from scaling.dispatch.states.stale import Stale

CANCELLED = "cancelled"
FOLLOW = 0.5  # seconds between two reads of a log
TAIL = 20  # lines of a job's log that are shown


@dataclass(frozen=True)
class Cancelled:
    """The result of a cancellation.

    dispatches: asked to stop; jobs: ended; runs: number of named runs (None: all); others: dispatches of other users,
    which continue; still: other jobs that train runs of the sweep, of another sweep or of an unreadable dispatch.
    """

    dispatches: tuple[str, ...]
    jobs: tuple[str, ...]
    runs: int | None
    others: tuple[str, ...] = ()
    still: tuple[str, ...] = ()


def cancel(folder: SweepFolder, *, runs: Collection[str] | None = None) -> Cancelled:
    """Stop the user's dispatches of a sweep, or its named runs; checkpoints stay.

    A whole sweep continues with the next `scaling run`; named runs stay cancelled until `retry` names them. The request
    is written first, so that a job that SLURM restarts finds it and ends.
    """
    asked, jobs, others, queued = [], [], [], set[str]()
    if runs is not None:
        change_cancelled(folder, add=runs)
    for files, dispatch in dispatches(folder):
        if dispatch.ended or (not dispatch.jobs and dispatch.process.gone):
            continue
        if dispatch.user not in ("", this_user()):
            others.append(f"{dispatch.id} of {dispatch.user}")
            queued |= {*dispatch.jobs, *files.started}
            continue
        files.ask_to_stop(_stop_request(files, runs))
        asked.append(dispatch.id)
        queued |= {*dispatch.jobs, *files.started}
        if dispatch.jobs and runs is None:
            jobs += launcher_of_dispatch(dispatch).cancel(files, dispatch)
            files.write(replace(dispatch, ended=True))
    still = _at_work_elsewhere(folder, runs, queued)
    return Cancelled(tuple(asked), tuple(jobs), None if runs is None else len(runs), tuple(others), still)


def _at_work_elsewhere(folder: SweepFolder, runs: Collection[str] | None, queued: Collection[str]) -> tuple[str, ...]:
    """Return the jobs that train runs of a sweep, or the named ones, and are not in `queued`."""
    try:
        planned = [run for run in read_plan(folder) if runs is None or run.run_id in runs]
        running = Reader(folder, planned).read().of(State.RUNNING)
    except UserError:  # a broken plan: the cancellation is done all the same
        return ()
    return tuple(sorted({run.job for run in running if run.job and run.job.split("_")[0] not in queued}))


def queued_outside_plan(folder: SweepFolder) -> list[str]:
    """Return the runs that live dispatches train, or will train, although they are no longer in the sweep's plan."""
    queued = {
        entry.run_id: entry.planned
        for files, dispatch in dispatches(folder)
        if not dispatch.ended and (dispatch.jobs or not dispatch.process.gone)
        for entry in read_queue(files.queue)
    }
    for run in read_plan(folder):
        queued.pop(run.run_id, None)
    status = Reader(folder, queued.values()).read()
    return [run.run_id for run in status.of(State.RUNNING, State.PENDING)]


def was_cancelled(folder: SweepFolder) -> bool:
    """Return whether the latest dispatch of a sweep was asked to stop."""
    found = dispatches(folder)
    return bool(found) and found[-1][0].stop.exists()


def _stop_request(files: DispatchFolder, runs: Collection[str] | None) -> StopRequest:
    before = read_stop_request(files.stop)
    if runs is None or (before is not None and before.runs is None):
        return StopRequest(CANCELLED)
    return StopRequest(CANCELLED, tuple(sorted({*runs, *(before.runs or () if before else ())})))


def runs_to_retry(status: Status, *, runs: Collection[str] | None = None) -> list[str]:
    """Return the runs to retry: the failed ones, or those among `runs` that are neither settled nor running."""
    if runs is None:
        return [run.run_id for run in status.of(State.FAILED)]
    open_states = (State.FAILED, State.MISSING, State.PENDING)
    return [run.run_id for run in status.of(*open_states) if run.run_id in runs]


def entries_to_retry(folder: SweepFolder, runs: Collection[str]) -> list[Entry]:
    """Return the queue entries of runs from their last dispatches; UserError if one was never dispatched."""
    found: dict[str, Entry] = {}
    for files, _ in reversed(dispatches(folder)):
        check_own_file(files.queue)
        for entry in read_queue(files.queue):
            if entry.run_id in runs and entry.run_id not in found:
                found[entry.run_id] = entry
    missing = sorted(set(runs) - set(found))
    if missing:
        raise UserError(
            f"found no dispatch of run {missing[0]}; wanted one that was started before; give `scaling run` again"
        )
    return [found[run_id] for run_id in runs]


def stale_in(folder: SweepFolder) -> Stale:
    """Return the settled runs of a sweep's dispatches that were trained on different data or code than the present."""
    from scaling.dispatch.states.stale import stale_entries

    queued = {entry.run_id: entry for files, _ in dispatches(folder) for entry in read_queue(files.queue)}
    named = ((run_id, entry.run["config"]) for run_id, entry in queued.items() if "config" in entry.run)
    return stale_entries(named, SettledRuns(folder))


def read_log(folder: SweepFolder, run_id: str) -> Iterator[str]:
    """Yield lines about a run: its attempts, evaluations, the end of its job's log, and what it waits for."""
    files = find_run(folder, run_id)
    for number, attempt in enumerate(read_attempts(files), start=1):
        place = " ".join(part for part in (attempt.get("host"), attempt.get("job")) if part)
        took = f"{attempt['seconds']:g} s" if "seconds" in attempt else "some time"
        yield f"attempt {number}: {attempt.get('start', 'then')}, {took} on {place}: {attempt.get('cause', 'unknown')}"
        yield from (f"  {line}" for line in (attempt.get("traceback") or attempt.get("error") or "").splitlines())
    yield from (_evaluation(entry) for entry in read_lines(files.log))
    for log in job_logs(folder, files):
        yield f"== {log}"
        yield from read_text(log, errors="replace").splitlines()[-TAIL:]
    yield from _waiting_notes(folder, files.run_id)


def _waiting_notes(folder: SweepFolder, run_id: str) -> Iterator[str]:
    """Yield the state of a run that is not done, and the notes on why it may be waiting."""
    with suppress(UserError):  # the logs can be read without the plan
        status = _reader_of(folder, run_id).read_with_trouble()
        for run in status.of(State.RUNNING, State.PENDING, State.MISSING):
            yield from (f"run {run.run_id} is {words_of(run)}", *(f"note: {note}" for note in status.notes))


def follow_log(folder: SweepFolder, run_id: str) -> Iterator[str]:
    """Yield the lines of `read_log`, then new evaluations, until the run is neither training nor waiting."""
    files = find_run(folder, run_id)
    yield from read_log(folder, run_id)
    seen = len(list(read_lines(files.log)))
    while True:
        ended = is_settled(files) or not _may_go_on(folder, files.run_id)
        lines = list(read_lines(files.log))
        yield from (_evaluation(entry) for entry in lines[seen:])
        seen = len(lines)
        if ended:
            return
        time.sleep(FOLLOW)


def _may_go_on(folder: SweepFolder, run_id: str) -> bool:
    """Return whether a run is training, or waiting for a worker."""
    return bool(_reader_of(folder, run_id).read().of(State.RUNNING, State.PENDING))


def _reader_of(folder: SweepFolder, run_id: str) -> Reader:
    """Return a reader of one run's state, of no run if the plan does not have it."""
    return Reader(folder, [run for run in read_plan(folder) if run.run_id == run_id])


def find_run(folder: SweepFolder, run_id: str) -> RunFolder:
    """Return the folder of a run, started or planned, by the first digits of its id; UserError if there is none."""
    matches = {path.name for path in (folder.results / "runs").glob(f"{run_id}*") if path.is_dir()}
    if not matches and folder.plan.exists():
        matches = {run.run_id for run in read_plan(folder) if run.run_id.startswith(run_id)}
    if len(matches) == 1:
        return folder.run(matches.pop())
    if not matches:
        raise UserError(
            f"found no run {run_id} under {folder.results / 'runs'}; wanted one that was started; see `scaling status`"
        )
    raise UserError(f"found {len(matches)} runs that begin with {run_id}; wanted one; give more digits")


def job_logs(folder: SweepFolder, files: RunFolder) -> list[Path]:
    """Return the log of the job that trains a run now, or tried it last; [] if there is none."""
    claim = read_claim(files.claim)
    tried = read_attempts(files)
    job = claim.job if claim is not None else str(tried[-1].get("job") or "") if tried else ""
    logs = folder.jobs.glob(f"*/{escape(job)}_*_log.err") if job and "/" not in job else ()
    return [path for path in sorted(logs, reverse=True) if not path.is_symlink()][:1]


def _evaluation(entry: dict[str, Any]) -> str:
    return ", ".join(f"{key} {_short(value)}" for key, value in entry.items() if value is not None)


def _short(value: Any) -> str:
    return f"{value:.5g}" if isinstance(value, float) else str(value)
