"""Examples that stay in host memory or in a file: gathered and copied to the device batch by batch."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor

from scaling.data.base import Arrays, Picked
from scaling.data.mapped_rows import RowFile
from scaling.data.memory import stays_in_file
from scaling.train.device import free_bytes
from scaling.train.feed.normalisation import Normalisation
from scaling.train.sizes import HELD_SHARE

GATHERERS = {"cpu": 2, "cuda": 8}  # threads that gather: one reads from the disk while another copies


def stays_on_host(arrays: Arrays | Picked, device: torch.device) -> bool:
    """Return whether a set is too large for a GPU's free memory or, on a CPU, stays in its file."""
    if device.type == "cuda":
        return len(arrays) * arrays.part(0, 1).x.nbytes > HELD_SHARE * free_bytes(device)
    return isinstance(arrays, Picked) or stays_in_file(arrays.x)


@dataclass(frozen=True)
class Gathered:
    """Examples `x` gathered on the host in the order of their rows; `x[place]` are those at `index` (n,) int64."""

    x: Tensor
    index: Tensor
    place: Tensor


@dataclass(frozen=True)
class Held:
    """Examples `x` (n, *shape) with `y` (n,) on the device; `scale` normalises examples when they are read."""

    x: Tensor
    y: Tensor
    scale: Normalisation | None

    def __len__(self) -> int:
        return len(self.y)

    @property
    def device(self) -> torch.device:
        """The device that examples are read on."""
        return self.y.device


@dataclass(frozen=True)
class Mapped(Held):
    """Examples as stored, `x` in host memory or in a memory-mapped file.

    rows: (n,) int64, the row of `x` of each example, None if they are in order; file: the file that `x` is mapped from.
    """

    rows: Tensor | None = None
    file: RowFile | None = None

    def take(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Return the examples at `index` (n,) int64 on the device, normalised."""
        return self.to_device(self.gather(index))

    def gather(self, index: Tensor) -> Gathered:
        """Copy the examples at `index` into host memory (pinned for a GPU), reading the file in ascending order."""
        ordered, order = (index if self.rows is None else self.rows[index]).sort()
        if self.file is not None:
            self.file.fetch(ordered.numpy())
        pin = self.device.type == "cuda"
        out = torch.empty((len(index), *self.x.shape[1:]), dtype=self.x.dtype, pin_memory=pin)
        # np.take is five times as fast as torch's index_select on rows of bytes; mode="raise" would use a buffer.
        np.take(self.x.numpy(), ordered.numpy(), axis=0, out=out.numpy(), mode="clip")
        place = order.argsort()
        return Gathered(out, index.pin_memory(), place.pin_memory()) if pin else Gathered(out, index, place)

    def to_device(self, rows: Gathered) -> tuple[Tensor, Tensor]:
        """Copy gathered examples to the device, put them into the requested order and normalise them."""
        x, index, place = copied_beside((rows.x, rows.index, rows.place), self.device)
        return self._scaled(x.index_select(0, place)), self.y.index_select(0, index)

    def between(self, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """Return the examples from `start` up to `stop` on the device, normalised."""
        x = self.x[start:stop] if self.rows is None else self.x[self.rows[start:stop]]
        return self._scaled(x.to(self.device)), self.y[start:stop]

    def _scaled(self, x: Tensor) -> Tensor:
        return x if self.scale is None else self.scale(x)


def copied_beside(parts: Sequence[Tensor], device: torch.device) -> list[Tensor]:
    """Copy tensors to a device; on a GPU on a second stream, in parallel with work that was queued before."""
    if device.type == "cpu":
        return [part.to(device) for part in parts]
    beside, current = _copy_stream(device), torch.cuda.current_stream(device)
    with torch.cuda.stream(beside):
        copies = [part.to(device, non_blocking=True) for part in parts]
    current.wait_stream(beside)
    for copy in copies:
        copy.record_stream(current)
    return copies


@cache
def _copy_stream(device: torch.device) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)


def prefetch(examples: Mapped, indices: Iterable[Tensor], *, threads: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the examples at each of the `indices`; meanwhile each thread gathers those at one of the next."""
    with ThreadPoolExecutor(max_workers=threads, thread_name_prefix="gather") as pool:
        waiting = deque[Future[Gathered]]()
        for index in indices:
            waiting.append(pool.submit(examples.gather, index))
            if len(waiting) > threads:
                yield examples.to_device(waiting.popleft().result())
        while waiting:
            yield examples.to_device(waiting.popleft().result())
