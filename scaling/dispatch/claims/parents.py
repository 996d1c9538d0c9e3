"""Check whether the parents of a run are ready; a parent of many children is looked up once a round."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from scaling.dispatch.claims.claim import Life, Observer
from scaling.dispatch.queue import Entry
from scaling.dispatch.states.settled import is_settled
from scaling.dispatch.task import Result
from scaling.folders import RunFolder, SweepFolder, exists


class ParentStates:
    """A cache of parents' states, valid until `forget`."""

    def __init__(self, folder: SweepFolder, observer: Observer) -> None:
        self._folder, self._observer = folder, observer
        self._known: dict[tuple[str, int | None], Result | None] = {}
        self._unsettled: set[str] = set()

    def forget(self) -> None:
        """Clear the cache."""
        self._known.clear()
        self._unsettled.clear()

    def known_early(self, needs: Iterable[str]) -> bool:
        """Return whether one of these runs is known not to be settled, so that a run that needs it can be skipped."""
        return not self._unsettled.isdisjoint(needs)

    def early(self, entry: Entry, comes: Callable[[str], bool]) -> Result | None:
        """Return EARLY or BLOCKED for a run whose parents are not all settled, None for one that can start.

        comes: returns whether this dispatch may still train an unclaimed run.
        """
        for need in entry.needs:
            key = (need, entry.step)
            if key not in self._known:
                self._known[key] = self._parent(self._folder.run(need), entry.step)
            if self._known[key] is not None:
                return self._known[key]
        return self._before_fork(entry, comes)

    def _parent(self, files: RunFolder, step: int | None) -> Result | None:
        life, _ = self._observer.look(files.claim)  # read before the record, so that no settling is missed
        settled = is_settled(files)
        if settled and (step is None or exists(files.kept_weights(step))):
            return None
        if not settled:
            self._unsettled.add(files.run_id)
        return Result.EARLY if life in (Life.ALIVE, Life.UNSURE) else Result.BLOCKED

    def _before_fork(self, entry: Entry, comes: Callable[[str], bool]) -> Result | None:
        """Return EARLY or BLOCKED while the run that this one forks from may still reach the step of the fork.

        None if its state exists, or never will: then the run is trained from the beginning.
        """
        if entry.fork is None or exists(self._folder.run(entry.run_id).checkpoint):
            return None
        trunk = self._folder.run(entry.fork[0])
        life, _ = self._observer.look(trunk.claim)
        if exists(trunk.fork(entry.fork[1])) or is_settled(trunk):
            return None
        if life in (Life.ALIVE, Life.UNSURE):
            return Result.EARLY
        return Result.BLOCKED if comes(entry.fork[0]) else None
