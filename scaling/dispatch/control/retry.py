"""Choose the runs to try again, and find their queue entries."""

from __future__ import annotations

from collections.abc import Collection

from scaling.dispatch.dispatches import dispatches
from scaling.dispatch.queue import Entry, read_queue
from scaling.dispatch.states.settled import SettledRuns
from scaling.dispatch.states.stale import Stale, stale_entries
from scaling.dispatch.states.state import State, Status
from scaling.errors import UserError
from scaling.folders import SweepFolder
from scaling.security.rights import check_own_file


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
    queued = {entry.run_id: entry for files, _ in dispatches(folder) for entry in read_queue(files.queue)}
    named = ((run_id, entry.run["config"]) for run_id, entry in queued.items() if "config" in entry.run)
    return stale_entries(named, SettledRuns(folder))
