"""Caches of data sets on a device: within a block of code, and on a GPU across runs."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Generic, TypeVar
from weakref import ref

import numpy as np
import torch

from scaling.data.base import Arrays, Picked
from scaling.data.memory import MEMORY

T = TypeVar("T")
KEPT_SHARE = 1 / 16  # of a GPU's memory, for sets that no run is reading


def place_of(arrays: Arrays | Picked) -> Hashable:
    """Return a key for the host memory that examples occupy."""
    return tuple((part.ctypes.data, part.shape, part.strides, part.dtype.str) for part in _parts(arrays))


def _parts(arrays: Arrays | Picked) -> tuple[np.ndarray, ...]:
    own = (arrays.file, arrays.rows) if isinstance(arrays, Picked) else (arrays.x,)
    return (*own, arrays.y)


DeviceCache = dict[Hashable, tuple[Arrays | Picked, Any]]  # values with the arrays, whose addresses stay valid keys
_CACHES: list[DeviceCache] = []  # one for each `shared_examples` block that is active


@contextmanager
def shared_examples() -> Iterator[None]:
    """Within the block, copy a data set to the device once, for all runs that use it."""
    _CACHES.append({})
    try:
        yield
    finally:
        _CACHES.pop()


def once_in_block(key: Hashable, arrays: Arrays | Picked, make: Callable[[], T]) -> T:
    """Return the value made from these arrays, once in the innermost `shared_examples` block; outside, each time."""
    if not _CACHES:
        return make()
    if key not in _CACHES[-1]:
        _CACHES[-1][key] = (arrays, make())
    value: T = _CACHES[-1][key][1]
    return value


class Kept(Generic[T]):
    """A least-recently-used cache of values computed from arrays, which does not keep the arrays alive."""

    def __init__(self) -> None:
        self._held: OrderedDict[Hashable, tuple[T, float, list[ref[np.ndarray]]]] = OrderedDict()

    def get(self, key: Hashable, arrays: Arrays | Picked, make: Callable[[], tuple[T, float]], limit: float) -> T:
        """Return the value for these arrays.

        make: returns the value and its size in bytes, called if it is not cached; limit: bytes of all values together.
        """
        held = self._held.get(key)
        if held is None:
            value, size = make()
            if size > limit or not all(map(_is_shared, _parts(arrays))):
                return value
            watched = [ref(_owner(part), lambda _: self._held.pop(key, None)) for part in _parts(arrays)]
            held = self._held[key] = (value, size, watched)
        with suppress(KeyError):  # other threads drop values, too
            self._held.move_to_end(key)
            while sum(size for _, size, _ in list(self._held.values())) > limit:
                self._held.popitem(last=False)
        return held[0]

    def clear(self) -> None:
        """Drop all values."""
        self._held.clear()


def kept_bytes(device: torch.device) -> int:
    """Return how many bytes of a device unused data sets may take; on a CPU they are normalised ones."""
    if device.type == "cpu":
        return MEMORY.limit // 4
    return int(KEPT_SHARE * torch.cuda.get_device_properties(device).total_memory)


def _owner(array: np.ndarray) -> np.ndarray:
    """Return the array that owns the memory of a view."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def _is_shared(array: np.ndarray) -> bool:
    """Return whether an array is read-only: then it was made once for all runs of this process."""
    return not _owner(array).flags.writeable
