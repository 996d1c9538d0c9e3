"""Which run a worker looks at next, in a queue that a thousand workers share, without looking at all of them.

The index of the results says what others have taken or settled since the queue was made. Workers of one dispatch start
at different places of the queue, and go on with the first run that is free; what others hold comes last.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice, takewhile

from scaling.dispatch.states import index
from scaling.dispatch.states.index import Event, Index, Stamp, stamp_in

FRESH = 1.0  # seconds that what was read of the index is gone by, and
LOOKS = 3  # runs


class Walk:
    """The runs of a queue that may be left.

    place: where in it this worker starts; dispatch: whose failures count; hear: is given every line of the index;
    whole: whether a run that it calls settled has all that this queue asks of it;
    front: returns the runs that come before all others when they have changed, else None.
    """

    def __init__(
        self,
        runs: Iterable[str],
        news: Index,
        *,
        place: int = 0,
        dispatch: str = "",
        hear: Callable[[Event], None] | None = None,
        whole: Callable[[str], bool] = lambda run_id: True,
        front: Callable[[], Sequence[str] | None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.left = dict.fromkeys(runs)
        self._unchecked = dict[str, Stamp]()
        self._todo: dict[str, None] = {}
        self._own, self._front = place, front
        self._places = {run_id: place for place, run_id in enumerate(self.left)}
        self._first: dict[str, int] = {}
        self._index, self._place, self._dispatch, self._hear, self._clock = news, place, dispatch, hear, clock
        self._whole = whole
        self._taken: dict[str, str] = {}
        self._heard, self._looks = float("-inf"), 0

    def round(self) -> Iterator[str]:
        """Yield each run that is left once, those first that nobody holds; drop those that others settle meanwhile."""
        self._todo = dict(self.left)
        while True:
            self.refresh(now=self._looks >= LOOKS)
            if not self._todo:
                return
            run_id = self._next()
            del self._todo[run_id]
            self._looks += 1
            yield run_id

    def _next(self) -> str:
        """Return the first free run, or at the start that at this worker's place; one that is held where all are."""
        skip, self._place = self._place, 0
        first = None
        for run_id in self._todo:
            if run_id not in self._taken:
                first = first or run_id
                if skip == 0:
                    return run_id
                skip -= 1
        return first or next(iter(self._todo))

    def ahead(self, most: int, *, of: str) -> list[str]:
        """Return the runs that come after this one, those that others hold among them; behind one that was put first,
        only such."""
        coming = takewhile(self._first.__contains__, self._todo) if of in self._first else self._todo
        return list(islice(coming, most))

    def visited(self, run_id: str, *, done: bool) -> None:
        """Pass a run over in this round; done: leave it out of what is left as well."""
        self._todo.pop(run_id, None)
        if done:
            self.left.pop(run_id, None)

    def check(self, *, of: int) -> int:
        """Put back what the index calls settled though its record has changed or gone since; return how many.

        Each of the `of` workers that share the queue checks its part of it, for all of them together check all.
        """
        mine = {run_id: then for run_id, then in self._unchecked.items() if _part(run_id, of) == self._own % of}
        self._unchecked.clear()
        lost = [run_id for run_id, then in mine.items() if self._index.stamp_of(run_id) != then]
        self.left |= dict.fromkeys(lost)
        return len(lost)

    def done(self, run_id: str) -> None:
        """Leave a run out of what is left."""
        self.left.pop(run_id, None)
        self._todo.pop(run_id, None)

    def refresh(self, *, now: bool = False) -> None:
        """Read what is new in the index, if what is known is not fresh, and what comes first, whenever it changed."""
        if now or self._clock() - self._heard >= FRESH:
            self._heard, self._looks = self._clock(), 0
            for event in self._index.news():
                self._take_in(event)
        moved = self._front()
        if moved is not None:
            self._put_first(moved)

    def _put_first(self, moved: Sequence[str]) -> None:
        """Order what is left: these runs first, then the others as the queue has them."""
        self._first = {run_id: place - len(moved) for place, run_id in enumerate(moved)}
        self.left, self._todo = self._ordered(self.left), self._ordered(self._todo)

    def _ordered(self, runs: Iterable[str]) -> dict[str, None]:
        return dict.fromkeys(sorted(runs, key=lambda run_id: self._first.get(run_id, self._places[run_id])))

    def _take_in(self, event: Event) -> None:
        if self._hear is not None:
            self._hear(event)
        if event.kind == index.SETTLED:
            if event.run_id in self.left and not self._whole(event.run_id):
                self._taken.pop(event.run_id, None)
                return
            if event.run_id in self.left:
                self._unchecked[event.run_id] = stamp_in(event)
            self.done(event.run_id)
        elif event.kind == index.FAILED:
            if event.read().get("in") == self._dispatch:
                self.done(event.run_id)
        elif event.kind == index.CLAIMED:
            self._taken[event.run_id] = event.read().get("token", "")
        elif self._taken.get(event.run_id) == event.read().get("token"):
            del self._taken[event.run_id]


def _part(run_id: str, of: int) -> int:
    """Return which of so many parts a run is in."""
    return zlib.crc32(run_id.encode()) % of
