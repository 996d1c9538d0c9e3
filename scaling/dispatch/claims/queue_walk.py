"""Which run a worker tries next, in a queue that a thousand workers share, without reading all of it.

Runs are dealt: of n workers each has every n-th of those that are free, and needs to ask nobody while it trains them.
When its share is done, or others turn out to have been there, it reads in the index of the results what has been taken
and settled since it last did, and what is free is dealt anew. What others hold comes last.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from contextlib import suppress
from itertools import chain, islice

from scaling.dispatch.states.index import Event, Index, Stamp, events_in, others_in, settled_in

LOOKS = 3  # in vain, after which the index is read; twice as many the next time
HELD = 64  # runs of others that a worker looks at in a round, to see whether who holds them lives


class QueueWalk:
    """The runs of a queue that may be left.

    place, workers: which worker this is, and how many share the queue; dispatch: whose failures count; hear: is given
    every line of the index; whole: whether a run among the keepers that it calls settled has all that is asked of it;
    front: returns the runs that come before all others when they have changed, else None.
    """

    def __init__(
        self,
        runs: Iterable[str],
        news: Index,
        *,
        place: int = 0,
        workers: int = 1,
        dispatch: str = "",
        hear: Callable[[Event], None] | None = None,
        keepers: Set[str] = frozenset(),
        whole: Callable[[str], bool] = lambda run_id: True,
        front: Callable[[], Sequence[str] | None] = lambda: None,
    ) -> None:
        self.left = dict.fromkeys(runs)
        self._workers = max(1, workers)
        self._place = place % self._workers
        self._own = list(self.left)[self._place :: self._workers]
        self._mine = frozenset(self._own)
        self._index, self._dispatch, self._hear = news, dispatch, hear
        self._keepers, self._whole = keepers, whole
        self._front, self._first = front, dict[str, None]()
        self._seen = set[str]()  # in this round
        self._coming, self._share, self._held = deque[str](), deque[str](), False
        self._taken = dict[str, str]()
        self._unchecked = dict[str, Stamp]()
        self._vain, self._most = 0, LOOKS

    def round(self) -> Iterator[str]:
        """Yield each run that is left once, those first that nobody holds; drop those that others settle meanwhile."""
        self._seen, self._coming, self._share, self._held = set(), deque(self._first), deque(), False
        self._vain, self._most = 0, LOOKS
        while (run_id := self._next()) is not None:
            self._seen.add(run_id)
            self._vain += 1
            yield run_id

    def took(self) -> None:
        """Note that the last run was free: this worker goes on with its share."""
        self._vain, self._most = 0, LOOKS

    def _next(self) -> str | None:
        """Return the next run of the front, of this worker's share, or of those that others hold; None without any."""
        moved = self._front()
        if moved is not None:
            self._first, self._coming = dict.fromkeys(moved), deque(moved)
            self.refresh()
        if self._vain >= self._most:
            self._vain, self._most = 0, 2 * self._most
            self.refresh()
        run_id = self._free(self._coming)
        while run_id is None and (run_id := self._free(self._share)) is None:
            if self._held or not self._deal():
                return None
        return run_id

    def _free(self, coming: deque[str]) -> str | None:
        while coming:
            run_id = coming.popleft()
            if self._is_todo(run_id) and (self._held or run_id not in self._taken):
                return run_id
        return None

    def _deal(self) -> bool:
        """Deal this worker its part of what is free now, or some of what others hold; False where nothing is left."""
        self.refresh()
        if self._own:  # whoever starts sooner or later, each has others at first
            self._share, self._own = deque(self._own), []
            return True
        todo = [run_id for run_id in self.left if run_id not in self._seen]
        free = [run_id for run_id in todo if run_id not in self._taken]
        if free:
            self._share.extend(free[self._place % min(self._workers, len(free)) :: self._workers])
            return True
        start = self._place * len(todo) // self._workers
        self._held = True
        self._share.extend(islice(chain(todo[start:], todo[:start]), HELD))
        return bool(todo)

    def _is_todo(self, run_id: str) -> bool:
        return run_id in self.left and run_id not in self._seen

    def together(self, most: int, *, of: str) -> list[str]:
        """Return this run among those that are left, as they stand in the queue, which is the same for every worker.

        Those that others hold are among them; beside one that was put first, only such.
        """
        first = [run_id for run_id in self._first if self._is_todo(run_id) or run_id == of]
        rest = () if of in self._first else (run_id for run_id in self.left if run_id not in self._first)
        here = (run_id for run_id in rest if self._is_todo(run_id) or run_id == of)
        found = list(islice(chain(first, here), most))
        return found if of in found else [of, *found]

    def visited(self, run_id: str, *, done: bool) -> None:
        """Pass a run over in this round; done: leave it out of what is left as well."""
        self._seen.add(run_id)
        if done:
            self.left.pop(run_id, None)

    def check(self) -> int:
        """Put back what the index calls settled though its record has changed or gone since; return how many.

        Each of the workers that share the queue checks its part of it, for all of them together check all.
        """
        lost = [run_id for run_id, then in self._unchecked.items() if self._index.stamp_of(run_id) != then]
        self._unchecked.clear()
        self.left |= dict.fromkeys(lost)
        return len(lost)

    def done(self, run_id: str) -> None:
        """Leave a run out of what is left."""
        self.left.pop(run_id, None)

    def refresh(self) -> None:
        """Read what is new in the index; a line that makes no sense is passed over."""
        for new in self._index.texts():
            if self._hear is not None:
                for event in events_in(new):
                    with suppress(ValueError, TypeError, LookupError, AttributeError):
                        self._hear(event)
            text = new.decode(errors="replace")
            lacking = self._settled(text)
            if self.left:
                self._claimed(text)
            for run_id in lacking:
                self._taken.pop(run_id, None)

    def _settled(self, text: str) -> list[str]:
        """Leave out what is settled; return those that lack something, for which they are trained again."""
        found = settled_in(text)
        lacking = [run_id for run_id in found.keys() & self._keepers if run_id in self.left and not self._whole(run_id)]
        for run_id in lacking:
            del found[run_id]
        for run_id in found.keys() & self._mine:
            if run_id in self.left:
                size, time = found[run_id].split(",")
                self._unchecked[run_id] = int(size), int(time)
        drop = self.left.pop
        for run_id in found:
            drop(run_id, None)
        return lacking

    def _claimed(self, text: str) -> None:
        """Take in who has claimed what, let go of it, or given it up."""
        left, taken = self.left, self._taken
        for kind, run_id, of in others_in(text):
            if run_id not in left:
                continue
            if kind == "c":
                taken[run_id] = of
            elif kind == "f":
                if of == self._dispatch:
                    self.done(run_id)
            elif taken.get(run_id) == of:
                del taken[run_id]
