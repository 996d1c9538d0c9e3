"""Examples on the device, as stored or normalised, and the choice between these and examples on the host."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from scaling.data.base import Arrays, Picked
from scaling.train.feed.mapped import Held, Mapped, stays_on_host
from scaling.train.feed.rows import RowFile
from scaling.train.feed.scale import Scale
from scaling.train.sizes import is_normalised_once

COPIED_ROWS = 65_536  # picked examples copied at a time


@dataclass(frozen=True)
class Resident(Held):
    """Examples on the device, as stored, or normalised where `scale` is None."""

    def take(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Return the examples at `index` (n,) int64, normalised."""
        return self._scaled(self.x.index_select(0, index)), self.y.index_select(0, index)

    def between(self, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """Return the examples from `start` up to `stop`, normalised."""
        return self._scaled(self.x[start:stop]), self.y[start:stop]

    def _scaled(self, x: Tensor) -> Tensor:
        return x if self.scale is None else self.scale(x)


Examples = Resident | Mapped


class Shelf:
    """Examples that were brought to a device, by the memory that they were brought from, which it keeps alive."""

    def __init__(self) -> None:
        self._held: dict[Hashable, tuple[Arrays | Picked, Examples]] = {}

    def get(self, arrays: Arrays | Picked, kind: Hashable, make: Callable[[], Examples]) -> Examples:
        """Return the examples of these arrays, made where they are not held."""
        parts = (arrays.file, arrays.rows) if isinstance(arrays, Picked) else (arrays.x,)
        key = (kind, *((part.ctypes.data, part.shape, part.strides, part.dtype.str) for part in (*parts, arrays.y)))
        if key not in self._held:
            self._held[key] = (arrays, make())
        return self._held[key][1]


_SHELVES: list[Shelf] = []  # of the blocks that are entered


@contextmanager
def shared_examples() -> Iterator[None]:
    """Within the block, bring a set to the device once, however many runs ask for it."""
    _SHELVES.append(Shelf())
    try:
        yield
    finally:
        _SHELVES.pop()


def bring(arrays: Arrays | Picked, scale: Scale | None, device: torch.device, *, reads: int) -> Examples:
    """Bring examples to the device if it can hold them; a set that is small and read often is normalised once.

    reads: examples that will be taken.
    """
    if not _SHELVES:
        return _brought(arrays, scale, device, reads=reads)
    numbers = None if scale is None else (*scale.mean.flatten().tolist(), *scale.std.flatten().tolist())
    kind = (str(device), numbers, reads >= len(arrays))
    return _SHELVES[-1].get(arrays, kind, lambda: _brought(arrays, scale, device, reads=reads))


def _brought(arrays: Arrays | Picked, scale: Scale | None, device: torch.device, *, reads: int) -> Examples:
    y = _tensor(arrays.y, device)
    if stays_on_host(arrays, device):
        host = torch.device("cpu")
        if isinstance(arrays, Picked):
            rows, file = _tensor(arrays.rows, host), RowFile.of(arrays.file)
            return Mapped(_tensor(arrays.file.view(np.ndarray), host), y, scale, rows, file)
        return Mapped(_tensor(arrays.x.view(np.ndarray), host), y, scale, file=RowFile.of(arrays.x))
    x = _copied(arrays, device) if isinstance(arrays, Picked) else _tensor(arrays.x, device)
    if scale is not None and is_normalised_once(x.numel(), examples=len(y), reads=reads):
        return Resident(scale(x), y, None)
    return Resident(x, y, scale)


def _copied(arrays: Picked, device: torch.device) -> Tensor:
    """Copy picked examples to the device a part at a time, so that the host's memory holds one part."""
    first = _tensor(arrays.file[:1], device)
    x = first.new_empty((len(arrays), *first.shape[1:]))
    for start in range(0, len(arrays), COPIED_ROWS):
        x[start : start + COPIED_ROWS] = _tensor(arrays.part(start, start + COPIED_ROWS).x, device)
    return x


def _tensor(array: np.ndarray, device: torch.device) -> Tensor:
    with warnings.catch_warnings():  # nothing here writes into the examples
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        if isinstance(array, np.memmap):
            return torch.from_numpy(array).to(device, copy=True)  # read once, not at every batch
        return torch.from_numpy(np.ascontiguousarray(array)).to(device)
