"""Choose the run that a worker tries next, in a queue shared by up to a thousand workers, without reading all of it.

Each of n workers gets every n-th of the free runs, without communication. When its share is done, or several of its
runs turn out to be taken, it reads in the index which runs were claimed and settled meanwhile, and the free runs are
divided again. Runs that others hold come last.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import chain, islice

from scaling.dispatch.queue import LazyQueue
from scaling.dispatch.states.index import Event, Index, Stamp, events_in, others_in, settled_in
from scaling.dispatch.states.settled import is_known_settled
from scaling.dispatch.task import Task

MISSES = 3  # runs that turn out to be taken, after which the index is read; doubled each time
HELD = 64  # runs held by others that a worker looks at in a round, to see whether their claims are alive


class QueueWalk:
    """The runs of a task's queue that are not known to be done.

    dispatch: whose failures count; on_event: called with every line of the index; front: returns the runs that come
    before all others if they have changed, else None.
    """

    def __init__(
        self,
        queue: LazyQueue,
        task: Task,
        index: Index,
        *,
        dispatch: str = "",
        on_event: Callable[[Event], None] | None = None,
        front: Callable[[], Sequence[str] | None] = lambda: None,
    ) -> None:
        self.left = dict.fromkeys(queue.run_ids)
        self._queue, self._folder = queue, task.folder
        self._workers = max(1, task.workers)
        self._place = task.place % self._workers
        self._first_share = list(self.left)[self._place :: self._workers]  # does not depend on when workers start
        self._to_check = frozenset(self._first_share)
        self._index, self._dispatch, self._on_event = index, dispatch, on_event
        self._moved_front = front
        self._front = dict[str, None]()
        self._taken = dict[str, str]()  # runs that others have claimed, with the tokens of the claims
        self._unchecked = dict[str, Stamp]()  # see `check`
        # Of the present round: the runs that were yielded, those of the front and of this worker's share that come
        # next, whether only runs are left that others hold, and how many were taken since the index was read.
        self._seen = set[str]()
        self._next_of_front, self._next_of_share = deque[str](), deque[str]()
        self._only_held = False
        self._misses, self._most_misses = 0, MISSES

    def round(self) -> Iterator[str]:
        """Yield each remaining run once, free ones first; drop those that others settle meanwhile."""
        self._seen, self._only_held = set(), False
        self._next_of_front, self._next_of_share = deque(self._front), deque()
        self._misses, self._most_misses = 0, MISSES
        while (run_id := self._next()) is not None:
            self._seen.add(run_id)
            self._misses += 1
            yield run_id

    def took(self) -> None:
        """Note that the last run was free."""
        self._misses, self._most_misses = 0, MISSES

    def _next(self) -> str | None:
        """Return the next run of the front, of this worker's share, or of those that others hold; None at the end."""
        moved = self._moved_front()
        if moved is not None:
            self._front, self._next_of_front = dict.fromkeys(moved), deque(moved)
            self.refresh()
        if self._misses >= self._most_misses:
            self._misses, self._most_misses = 0, 2 * self._most_misses
            self.refresh()
        run_id = self._free(self._next_of_front)
        while run_id is None and (run_id := self._free(self._next_of_share)) is None:
            if self._only_held or not self._deal():
                return None
        return run_id

    def _free(self, coming: deque[str]) -> str | None:
        while coming:
            run_id = coming.popleft()
            if self._is_todo(run_id) and (self._only_held or run_id not in self._taken):
                return run_id
        return None

    def _deal(self) -> bool:
        """Give this worker its part of the free runs, or some that others hold; return False if nothing is left."""
        self.refresh()
        if self._first_share:
            self._next_of_share, self._first_share = deque(self._first_share), []
            return True
        todo = [run_id for run_id in self.left if run_id not in self._seen]
        free = [run_id for run_id in todo if run_id not in self._taken]
        if free:
            self._next_of_share.extend(free[self._place % min(self._workers, len(free)) :: self._workers])
            return True
        start = self._place * len(todo) // self._workers
        self._only_held = True
        self._next_of_share.extend(islice(chain(todo[start:], todo[:start]), HELD))
        return bool(todo)

    def _is_todo(self, run_id: str) -> bool:
        return run_id in self.left and run_id not in self._seen

    def together(self, most: int, *, of: str) -> list[str]:
        """Return up to `most` remaining runs in the order of the queue, which is the same for every worker.

        of: a run that is always included; if it is at the front of the sweep, only runs of the front. Runs that others
        hold are included.
        """
        first = [run_id for run_id in self._front if self._is_todo(run_id) or run_id == of]
        rest = () if of in self._front else (run_id for run_id in self.left if run_id not in self._front)
        here = (run_id for run_id in rest if self._is_todo(run_id) or run_id == of)
        found = list(islice(chain(first, here), most))
        return found if of in found else [of, *found]

    def visited(self, run_id: str, *, done: bool) -> None:
        """Skip a run for the rest of this round; done: for good."""
        self._seen.add(run_id)
        if done:
            self.left.pop(run_id, None)

    def check(self) -> int:
        """Put back runs that the index calls settled but whose records have changed or gone; return how many.

        Each worker checks its first share, so that together they check all runs.
        """
        lost = [run_id for run_id, then in self._unchecked.items() if self._index.stamp_of(run_id) != then]
        self._unchecked.clear()
        self.left |= dict.fromkeys(lost)
        return len(lost)

    def refresh(self) -> None:
        """Read the new lines of the index; invalid ones are skipped."""
        for new in self._index.texts():
            if self._on_event is not None:
                for event in events_in(new):
                    with suppress(ValueError, TypeError, LookupError, AttributeError):
                        self._on_event(event)
            text = new.decode(errors="replace")
            lacking = self._settled(text)
            if self.left:
                self._claimed(text)
            for run_id in lacking:
                self._taken.pop(run_id, None)

    def _settled(self, text: str) -> list[str]:
        """Remove settled runs; return those that lack weights, and are trained again."""
        found = settled_in(text)
        keepers = [run_id for run_id in found.keys() & self._queue.keepers if run_id in self.left]
        lacking = [
            run_id for run_id in keepers if not is_known_settled(self._folder.run(run_id), self._queue.keeps(run_id))
        ]
        for run_id in lacking:
            del found[run_id]
        for run_id in found.keys() & self._to_check:
            if run_id in self.left:
                size, time = found[run_id].split(",")
                self._unchecked[run_id] = int(size), int(time)
        drop = self.left.pop
        for run_id in found:
            drop(run_id, None)
        return lacking

    def _claimed(self, text: str) -> None:
        """Process lines about claims, releases and failures."""
        left, taken = self.left, self._taken
        for kind, run_id, of in others_in(text):
            if run_id not in left:
                continue
            if kind == "c":
                taken[run_id] = of
            elif kind == "f":
                if of == self._dispatch:
                    del left[run_id]
            elif taken.get(run_id) == of:
                del taken[run_id]
