"""Cancel a sweep or some of its runs, and find runs that are queued although the sweep no longer has them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from scaling.dispatch.claims.stop import StopRequest, read_stop_request
from scaling.dispatch.dispatches import DispatchFolder, dispatches
from scaling.dispatch.launcher import launcher_of_dispatch
from scaling.dispatch.process import this_user
from scaling.dispatch.queue import read_queue
from scaling.dispatch.states.cancelled import change_cancelled
from scaling.dispatch.states.read_plan import read_plan
from scaling.dispatch.states.read_state import Reader
from scaling.dispatch.states.state import State
from scaling.errors import UserError
from scaling.folders import SweepFolder, exists

CANCELLED = "cancelled"


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
        if not dispatch.may_be_at_work:
            continue
        if dispatch.user not in ("", this_user()):
            others.append(f"{dispatch.id} of {dispatch.user}")
            queued |= {*dispatch.jobs, *files.started}
            continue
        files.ask_to_stop(_stop_request(files, runs))
        queued |= {*dispatch.jobs, *files.started}
        if dispatch.jobs and runs is None:
            ended = launcher_of_dispatch(dispatch).cancel(files, dispatch)
            files.write(replace(dispatch, ended=True))
            if not ended:  # its jobs had ended before
                continue
            jobs += ended
        elif dispatch.jobs and launcher_of_dispatch(dispatch).job_states([(files, dispatch)]) == {}:
            continue  # so had they here
        asked.append(dispatch.id)
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


def _stop_request(files: DispatchFolder, runs: Collection[str] | None) -> StopRequest:
    before = read_stop_request(files.stop)
    if runs is None or (before is not None and before.runs is None):
        return StopRequest(CANCELLED)
    return StopRequest(CANCELLED, tuple(sorted({*runs, *(before.runs or () if before else ())})))


def queued_outside_plan(folder: SweepFolder) -> list[str]:
    """Return the runs that live dispatches train, or will train, although they are no longer in the sweep's plan."""
    queued = {
        entry.run_id: entry.planned
        for files, dispatch in dispatches(folder)
        if dispatch.may_be_at_work
        for entry in read_queue(files.queue)
    }
    for run in read_plan(folder):
        queued.pop(run.run_id, None)
    status = Reader(folder, queued.values()).read()
    return [run.run_id for run in status.of(State.RUNNING, State.PENDING)]


def was_cancelled(folder: SweepFolder) -> bool:
    """Return whether the latest dispatch of a sweep was asked to stop."""
    found = dispatches(folder)
    return bool(found) and exists(found[-1][0].stop)
