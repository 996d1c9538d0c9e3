"""Examples that the device does not hold: gathered in the host's memory, or from its disk, batch by batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from scaling.data.memory import stays_in_file
from scaling.train.feed.scale import Scale

HELD_SHARE = 0.5  # of a GPU's free memory: what a data set may take; the rest is for the model and its activations


def held_elsewhere(x: np.ndarray, device: torch.device) -> bool:
    """Say whether an array is too large to be brought to the device, or to be read from its file."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return x.nbytes > HELD_SHARE * free
    return stays_in_file(x)


@dataclass(frozen=True)
class Rows:
    """Examples gathered on the host in ascending order of where they lie; `index` and `place` (n,) undo that."""

    x: Tensor
    index: Tensor
    place: Tensor


@dataclass(frozen=True)
class Held:
    """Examples `x` (n, *shape), wherever they lie, and `y` (n,) on the device; `scale` normalises what is taken."""

    x: Tensor
    y: Tensor
    scale: Scale | None

    def __len__(self) -> int:
        return len(self.y)

    @property
    def device(self) -> torch.device:
        """Where the examples are taken to."""
        return self.y.device


@dataclass(frozen=True)
class Mapped(Held):
    """Examples as stored, in the host's memory or in a file mapped into it."""

    def take(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Return the examples at `index` (n,) int64 on the device, normalised."""
        return self.settle(self.gather(index))

    def gather(self, index: Tensor) -> Rows:
        """Copy the examples at `index` to where the device fetches them from, walking the file from front to end."""
        ordered, order = index.sort()
        out = torch.empty((len(index), *self.x.shape[1:]), dtype=self.x.dtype, pin_memory=self.device.type == "cuda")
        # NumPy's is five times as fast as torch's index_select on rows of bytes; "raise" would go through a buffer.
        np.take(self.x.numpy(), ordered.numpy(), axis=0, out=out.numpy(), mode="clip")
        return Rows(out, index, order.argsort())

    def settle(self, rows: Rows) -> tuple[Tensor, Tensor]:
        """Bring gathered examples to the device, put them into the order asked for and normalise them."""
        x, index, place = (part.to(self.device, non_blocking=True) for part in (rows.x, rows.index, rows.place))
        return self._scaled(x.index_select(0, place)), self.y.index_select(0, index)

    def between(self, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """Return the examples from `start` up to `stop` on the device, normalised."""
        return self._scaled(self.x[start:stop].to(self.device)), self.y[start:stop]

    def _scaled(self, x: Tensor) -> Tensor:
        return x if self.scale is None else self.scale(x)


class Gatherer(Protocol):
    """What fetches examples in two steps, the first of which another thread may do."""

    def gather(self, start: int, stop: int) -> Rows:
        """Gather the examples at positions `start` up to `stop` on the host."""

    def settle(self, rows: Rows) -> tuple[Tensor, Tensor]:
        """Bring them to the device."""


def ahead(source: Gatherer, spans: Iterable[tuple[int, int]]) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the examples of each span; while one is used, the next is gathered in a thread."""
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="gather") as pool:
        waiting: Future[Rows] | None = None
        for span in spans:
            following = pool.submit(source.gather, *span)
            if waiting is not None:
                yield source.settle(waiting.result())
            waiting = following
        if waiting is not None:
            yield source.settle(waiting.result())
