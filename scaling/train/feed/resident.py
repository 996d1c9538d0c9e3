"""Examples on the device, stored or normalised, and the choice between device and host."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from math import inf

import numpy as np
import torch
from torch import Tensor

from scaling.data.base import Arrays, Picked
from scaling.data.mapped_rows import RowFile
from scaling.train.device import used_device
from scaling.train.feed.device_cache import Kept, kept_bytes, once_in_block, place_of
from scaling.train.feed.mapped import Held, Mapped, copied_meanwhile, stays_on_host
from scaling.train.feed.normalisation import Normalisation
from scaling.train.sizes import is_normalised_once

COPIED_ROWS = 65_536  # picked examples copied at a time

# torch warns once in a process that an array is not writable; nothing here writes into the examples. Filters cannot be
# set where the warning would come, since threads copy examples, and share the filters.
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    torch.from_numpy(np.frombuffer(b"\0", dtype=np.uint8))


@dataclass(frozen=True)
class Resident(Held):
    """Examples on the device, as stored, or normalised where `scale` is None."""

    def take(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Return the examples at `index` (n,) int64, normalised."""
        return self._scaled(self.x.index_select(0, index)), self.y.index_select(0, index)

    def between(self, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """Return the examples from `start` up to `stop`, normalised."""
        return self._scaled(self.x[start:stop]), self.y[start:stop]


Examples = Resident | Mapped


KEPT: Kept[Examples] = Kept()  # data sets of this process on its device


def bring(arrays: Arrays | Picked, scale: Normalisation | None, device: torch.device, *, reads: int) -> Examples:
    """Copy examples to the device if they fit; normalise a set once if it is small and read often.

    reads: number of examples that will be read. Sets that the process keeps in memory are cached across runs, on a CPU
    only normalised ones, since others are read in place.
    """
    numbers = None if scale is None else (*scale.mean.flatten().tolist(), *scale.std.flatten().tolist())
    key = (str(device), numbers, reads >= len(arrays), place_of(arrays))

    def sized() -> tuple[Examples, float]:
        """Return the examples and their bytes, infinite if they are read in host memory and not to be cached."""
        found = _uncached(arrays, scale, device, reads=reads)
        normalised = scale is not None and found.scale is None
        in_place = isinstance(found, Mapped) or (device.type == "cpu" and not normalised)
        return found, inf if in_place else found.x.nbytes + found.y.nbytes

    return once_in_block(key, arrays, lambda: KEPT.get(key, arrays, sized, kept_bytes(device)))


def _uncached(arrays: Arrays | Picked, scale: Normalisation | None, device: torch.device, *, reads: int) -> Examples:
    """Copy examples to the device without a cache; see `bring`."""
    on_host = stays_on_host(arrays, device)
    if on_host and device.type == "cuda":
        KEPT.clear()  # free what no run is reading
        on_host = stays_on_host(arrays, device)
    if not on_host:
        return copied(arrays, scale, device, reads=reads)
    y, host = _tensor(arrays.y, device), torch.device("cpu")
    if isinstance(arrays, Picked):
        rows, file = _tensor(arrays.rows, host), RowFile.of(arrays.file)
        return Mapped(_tensor(arrays.file.view(np.ndarray), host), y, scale, rows, file)
    return Mapped(_tensor(arrays.x.view(np.ndarray), host), y, scale, file=RowFile.of(arrays.x))


@dataclass(frozen=True)
class Pinned:
    """Examples in pinned host memory, from which a GPU copies them while the host goes on."""

    x: Tensor
    y: Tensor

    @classmethod
    def of(cls, arrays: Arrays, device: torch.device) -> Pinned:
        """Copy arrays for a GPU; a thread can do so."""
        host = torch.device("cpu")
        with used_device(device):  # a thread begins with the first one
            return cls(_tensor(arrays.x, host).pin_memory(), _tensor(arrays.y, host).pin_memory())


def copied(
    arrays: Arrays | Picked | Pinned, scale: Normalisation | None, device: torch.device, *, reads: int
) -> Resident:
    """Copy examples that fit to the device; see `bring`."""
    if isinstance(arrays, Pinned):
        x, y = copied_meanwhile((arrays.x, arrays.y), device)
    else:
        y = _tensor(arrays.y, device)
        x = _copied_in_parts(arrays, device) if isinstance(arrays, Picked) else _tensor(arrays.x, device)
    if scale is not None and is_normalised_once(x.numel(), examples=len(y), reads=reads):
        return Resident(scale(x), y, None)
    return Resident(x, y, scale)


def _copied_in_parts(arrays: Picked, device: torch.device) -> Tensor:
    """Copy picked examples to the device in parts, so that host memory holds one part at a time."""
    first = _tensor(arrays.file[:1], device)
    x = first.new_empty((len(arrays), *first.shape[1:]))
    for start in range(0, len(arrays), COPIED_ROWS):
        x[start : start + COPIED_ROWS] = _tensor(arrays.part(start, start + COPIED_ROWS).x, device)
    return x


def _tensor(array: np.ndarray, device: torch.device) -> Tensor:
    if isinstance(array, np.memmap):
        return torch.from_numpy(array).to(device, copy=True)  # read once, not at every batch
    return torch.from_numpy(np.ascontiguousarray(array)).to(device)
