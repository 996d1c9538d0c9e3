"""Examples that stay in host memory or in a file: gathered and copied to the device batch by batch."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
import torch
from torch import Tensor

from scaling.data.base import Arrays, Picked
from scaling.data.mapped_rows import RowFile
from scaling.data.memory import stays_in_file
from scaling.devices import cores
from scaling.train.device import free_bytes
from scaling.train.feed.normalisation import Normalisation
from scaling.train.sizes import HELD_SHARE

GATHERERS = {"cpu": 2, "cuda": 8}  # threads that gather: one reads from the disk while another copies
PART_BYTES = 1 << 24  # of a batch that one thread gathers at a time: a large batch is gathered by several
AHEAD = 2  # batches that are gathered before they are needed, or as many as keep all threads busy


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

    def _scaled(self, x: Tensor) -> Tensor:
        return x if self.scale is None else self.scale(x)


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
        """Copy the examples at `index` into host memory, pinned for a GPU."""
        rows, parts = self.room(index)
        for part in parts:
            part()
        return rows

    def room(self, index: Tensor) -> tuple[Gathered, Sequence[Callable[[], None]]]:
        """Return the room for the examples at `index`, and what fills its parts, which threads can do in parallel.

        The file is read in ascending order.
        """
        ordered, order = (index if self.rows is None else self.rows[index]).sort()
        pin = self.device.type == "cuda"
        out = torch.empty((len(index), *self.x.shape[1:]), dtype=self.x.dtype, pin_memory=pin)
        place, each = order.argsort(), max(1, PART_BYTES // max(1, out[:1].nbytes))
        parts = [
            partial(self._fill, rows.numpy(), part.numpy())
            for rows, part in zip(ordered.split(each), out.split(each), strict=True)
        ]
        return Gathered(out, index.pin_memory(), place.pin_memory()) if pin else Gathered(out, index, place), parts

    def _fill(self, rows: np.ndarray, out: np.ndarray) -> None:
        if self.file is not None:
            self.file.fetch(rows)
        # np.take is five times as fast as torch's index_select on rows of bytes; mode="raise" would use a buffer.
        np.take(self.x.numpy(), rows, axis=0, out=out, mode="clip")

    def to_device(self, rows: Gathered) -> tuple[Tensor, Tensor]:
        """Copy gathered examples to the device, put them into the requested order and normalise them."""
        x, index, place = copied_meanwhile((rows.x, rows.index, rows.place), self.device)
        return self._scaled(x.index_select(0, place)), self.y.index_select(0, index)

    def between(self, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """Return the examples from `start` up to `stop` on the device, normalised."""
        x = self.x[start:stop] if self.rows is None else self.x[self.rows[start:stop]]
        return self._scaled(x.to(self.device)), self.y[start:stop]


def copied_meanwhile(parts: Sequence[Tensor], device: torch.device) -> list[Tensor]:
    """Copy tensors to a device; on a GPU on a second stream, in parallel with work that was queued before."""
    if device.type == "cpu":
        return [part.to(device) for part in parts]
    side, current = _copy_stream(device), torch.cuda.current_stream(device)
    with torch.cuda.stream(side):
        copies = [part.to(device, non_blocking=True) for part in parts]
    current.wait_stream(side)
    for copy in copies:
        copy.record_stream(current)
    return copies


@cache
def _copy_stream(device: torch.device) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)


def prefetch(examples: Mapped, indices: Iterable[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the examples at each of the `indices`; meanwhile threads gather those at the next ones."""
    threads = min(GATHERERS[examples.device.type], max(1, cores()))
    with ThreadPoolExecutor(max_workers=threads, thread_name_prefix="gather") as pool:
        waiting = deque[tuple[Gathered, list[Future[None]]]]()
        for index in indices:
            rows, parts = examples.room(index)
            waiting.append((rows, [pool.submit(part) for part in parts]))
            if len(waiting) > max(AHEAD, -(-threads // len(parts))):
                yield examples.to_device(_filled(*waiting.popleft()))
        while waiting:
            yield examples.to_device(_filled(*waiting.popleft()))


def _filled(rows: Gathered, parts: Sequence[Future[None]]) -> Gathered:
    for part in parts:
        part.result()
    return rows
