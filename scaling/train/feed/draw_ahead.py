"""Values used in sequence: threads compute the next ones while the current one is used."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

T = TypeVar("T")


class Ahead(Generic[T]):
    """Compute make(i) for integers i ahead of their use; the values for i - 1 and i are kept.

    Going back from i to i - 1 discards nothing that was computed ahead. until: the first i that is never used, None if
    there is no limit; threads: call `make` in parallel, on as many of the next i. An error in `make` is raised when its
    value is requested. The threads end with this object.
    """

    def __init__(self, make: Callable[[int], T], *, until: int | None = None, threads: int = 1) -> None:
        self._make, self._until, self._threads = make, until, threads
        self._pool = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="ahead")
        self._held: dict[int, Future[T]] = {}

    def __call__(self, i: int) -> T:
        """Return make(i), waiting for it if necessary."""
        wanted, last = self._future(i), i + self._threads
        if self._until is not None:
            last = min(last, self._until - 1)
        for following in range(i + 1, last + 1):
            self._future(following)
        value = wanted.result()
        for number in [number for number in self._held if not i - 1 <= number <= max(i, last) + 1]:
            self._held.pop(number).cancel()
        return value

    def _future(self, i: int) -> Future[T]:
        if i not in self._held:
            self._held[i] = self._pool.submit(self._make, i)
        return self._held[i]
