"""Whether the parents of a run are ready. A parent of many children is looked up once in a round."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from scaling.dispatch.claims.claim import Life, Observer
from scaling.dispatch.queue import Entry, LazyQueue
from scaling.dispatch.states.settled import is_known_settled, is_settled
from scaling.dispatch.task import Step
from scaling.folders import RunFolder, SweepFolder


def has_weights(folder: SweepFolder, queue: LazyQueue, run_id: str) -> bool:
    """Return whether a run that was settled, perhaps by another dispatch, has the weights that others need."""
    keeps = queue.keeps(run_id)
    return not keeps or is_known_settled(folder.run(run_id), keeps)


class Parents:
    """What is known of parents since the last `forget`."""

    def __init__(self, folder: SweepFolder, observer: Observer) -> None:
        self._folder, self._observer = folder, observer
        self._known: dict[tuple[str, int | None], Step | None] = {}
        self._unsettled: set[str] = set()

    def forget(self) -> None:
        """Look at all of them again."""
        self._known.clear()
        self._unsettled.clear()

    def known_early(self, needs: Iterable[str]) -> bool:
        """Return whether one of these is known not to be settled: a run that needs it need not be looked at."""
        return not self._unsettled.isdisjoint(needs)

    def early(self, entry: Entry, comes: Callable[[str], bool]) -> Step | None:
        """Return EARLY or BLOCKED for a run whose needs are not all settled, None for one that may begin.

        comes: whether a run that nobody is at may still be trained by this dispatch.
        """
        for need in entry.needs:
            key = (need, entry.step)
            if key not in self._known:
                self._known[key] = self._parent(self._folder.run(need), entry.step)
            if self._known[key] is not None:
                return self._known[key]
        return self._before_fork(entry, comes)

    def _parent(self, files: RunFolder, step: int | None) -> Step | None:
        life, _ = self._observer.look(files.claim)  # before the record: what is settled in between is ready
        settled = is_settled(files)
        if settled and (step is None or files.kept_weights(step).is_file()):
            return None
        if not settled:
            self._unsettled.add(files.run_id)
        return Step.EARLY if life in (Life.ALIVE, Life.UNSURE) else Step.BLOCKED

    def _before_fork(self, entry: Entry, comes: Callable[[str], bool]) -> Step | None:
        """Return EARLY or BLOCKED while the run that this one forks from may still get there.

        None once its state is there, or never will be: then the run is trained from its start.
        """
        if entry.fork is None or self._folder.run(entry.run_id).checkpoint.exists():
            return None
        trunk = self._folder.run(entry.fork[0])
        life, _ = self._observer.look(trunk.claim)
        if trunk.fork(entry.fork[1]).is_file() or is_settled(trunk):
            return None
        if life in (Life.ALIVE, Life.UNSURE):
            return Step.EARLY
        return Step.BLOCKED if comes(entry.fork[0]) else None
