"""Choose the runs to try again, and find their queue entries."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from scaling.dispatch.dispatches import DispatchFolder, dispatches
from scaling.dispatch.queue import Entry, LazyQueue
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
    for files, new in _latest(folder, runs):
        check_own_file(files.queue)
        found |= new
    missing = sorted(set(runs) - set(found))
    if missing:
        raise UserError(
            f"found no dispatch of run {missing[0]}; wanted one that was started before; give `scaling run` again"
        )
    return [found[run_id] for run_id in runs]


def stale_in(folder: SweepFolder) -> Stale:
    """Return the settled runs of a sweep's dispatches that were trained on different data or code than the present."""
    settled, queues = SettledRuns(folder), [LazyQueue(files.queue) for files, _ in dispatches(folder)]
    runs = dict.fromkeys(run_id for queue in queues for run_id in queue.run_ids)  # parents come before their children
    found: dict[str, Entry] = {}
    for _, new in _latest(folder, [run_id for run_id in runs if settled.get(run_id) is not None]):
        found |= new
    named = [(run_id, found[run_id].run) for run_id in runs if run_id in found]
    return stale_entries([(run_id, run["config"]) for run_id, run in named if "config" in run], settled)


def _latest(folder: SweepFolder, runs: Collection[str]) -> Iterator[tuple[DispatchFolder, dict[str, Entry]]]:
    """Yield the dispatches of runs, the last one first, each with the entries that no later one has."""
    wanted = set(runs)
    for files, _ in reversed(dispatches(folder)):
        queue = LazyQueue(files.queue)
        new = {run_id: entry for run_id in wanted.intersection(queue.run_ids) if (entry := queue.get(run_id))}
        wanted -= new.keys()
        if new:
            yield files, new
        if not wanted:
            return
