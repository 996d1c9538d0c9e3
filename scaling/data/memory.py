"""Data in a worker's memory: read or made once for all its runs, or mapped from its file."""

from __future__ import annotations

import mmap
from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable, Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from threading import Lock, RLock
from typing import Any, TypeVar

import numpy as np

from scaling.data.mapped_rows import mapping_of
from scaling.devices import cores, host_memory

T = TypeVar("T")
MAPPED_BYTES = 1 << 30  # of an array on disk: a smaller one is read whole at the start, a larger one batch by batch
MOST_BYTES = {"cpu": 1 << 30, "cuda": 1 << 34}  # for a worker on a device; less if the machine has little memory


def load_array(path: Path) -> np.ndarray:
    """Read an .npy file, or map it into memory if it is large."""
    return np.load(path, mmap_mode="r" if path.stat().st_size > MAPPED_BYTES else None)


def shared_array(path: Path) -> np.ndarray:
    """Map an .npy file, so that all workers of a machine share its memory; it may be replaced, but not changed.

    Unless it is large, it is read here from start to end (at random places a disk is slow), and used like any array.
    """
    try:
        array = np.load(path, mmap_mode="r")
    except OSError:  # a file system without maps
        return load_array(path)
    if not stays_in_file(array):
        array = np.asarray(array)
        array.reshape(-1)[:: mmap.PAGESIZE // array.itemsize].max(initial=0)
    return array


def stays_in_file(array: np.ndarray) -> bool:
    """Return whether an array is mapped and too large to be read whole."""
    return isinstance(array, np.memmap) and array.nbytes > MAPPED_BYTES


class Memory:
    """A bounded cache of groups of values; the least recently used group is dropped first, as a whole.

    Within a group the first values stay, since runs read their chunks from the start. A group that has half of the
    memory only takes free memory, without dropping other groups; otherwise the chunks of a long stream would displace
    the values that they are made from. A value above the limit, which a run holds anyway, stays until another is made.
    """

    def __init__(self, limit: int):
        self.limit = limit
        self._lock = Lock()  # threads draw ahead
        self._making: dict[tuple[Hashable, Hashable], RLock] = {}
        self._groups: OrderedDict[Hashable, dict[Hashable, Any]] = OrderedDict()
        self._bytes = Counter[Hashable]()  # of each group
        self._large: dict[tuple[Hashable, Hashable], Any] = {}  # the value above the limit

    @property
    def used(self) -> int:
        """Bytes of all values within the limit."""
        return self._bytes.total()

    def get(self, group: Hashable, key: Hashable, make: Callable[[], T]) -> T:
        """Return the value of `key`, made if it is not in memory; its arrays are shared and read-only.

        Threads can make values in parallel, but each value is made by one of them while others wait for it.
        """
        with self._lock:
            found = self._found(group, key)
            if found is not None:
                return found
            making = self._making.setdefault((group, key), RLock())
        with making:
            with self._lock:
                found = self._found(group, key)
            return self._make(group, key, make) if found is None else found

    def _found(self, group: Hashable, key: Hashable) -> Any:
        held = self._groups.get(group, {}).get(key)
        if held is not None:
            self._groups.move_to_end(group)
        return self._large.get((group, key)) if held is None else held

    def _make(self, group: Hashable, key: Hashable, make: Callable[[], T]) -> T:
        try:
            self._large = {}  # before there is another
            value = make()
            arrays = list(arrays_in(value))
            for array in arrays:
                array.flags.writeable = False
            size = sum(array.nbytes for array in arrays if mapping_of(array) is None)
            with self._lock:
                if size > self.limit:
                    self._large = {(group, key): value}
                else:
                    self._keep(group, key, value, size)
            return value
        finally:
            with self._lock:
                self._making.pop((group, key), None)

    def _keep(self, group: Hashable, key: Hashable, value: Any, size: int) -> None:
        self._groups.setdefault(group, {})
        self._groups.move_to_end(group)
        may_forget = not self._bytes[group] or 2 * (self._bytes[group] + size) <= self.limit
        while may_forget and self.used + size > self.limit and len(self._groups) > 1:
            oldest, _ = self._groups.popitem(last=False)
            del self._bytes[oldest]
        if self.used + size <= self.limit:
            self._groups[group][key] = value
            self._bytes[group] += size

    def clear(self) -> None:
        """Drop all values."""
        with self._lock:
            self._groups.clear()
            self._bytes.clear()
            self._large.clear()


def arrays_in(value: Any) -> Iterator[np.ndarray]:
    """Yield the arrays in a value, which may be a dataclass, a list, a tuple or a dictionary."""
    if isinstance(value, np.ndarray):
        yield value
    elif is_dataclass(value):
        for field in fields(value):
            yield from arrays_in(getattr(value, field.name))
    elif isinstance(value, list | tuple | dict):
        for item in value.values() if isinstance(value, dict) else value:
            yield from arrays_in(item)


def affordable(kind: str = "cpu", *, workers: int = 0) -> int:
    """Return the bytes that a worker may keep: at most its share of a quarter of the memory.

    kind: of its device, cpu or cuda; workers: on this machine, by default one for each core.
    """
    return min(MOST_BYTES[kind], host_memory().total // (4 * (workers or cores())))


MEMORY = Memory(affordable())
