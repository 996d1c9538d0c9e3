"""The order in which a run meets its examples: a function of seed and position, so that a resume needs no replay."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import torch
from torch import Tensor

from scaling.data.base import Arrays, Stream
from scaling.train.feed.mapped import Mapped, Rows, ahead
from scaling.train.feed.resident import Examples, Resident, put
from scaling.train.feed.scale import Scale
from scaling.train.streams import derive

# Bytes gathered at a time. On a CPU what stays in the second-level cache is read back for nothing (measured: 14 us for
# a batch of 400 kB taken alone, 209 us as one of 16); on a GPU fewer launches count.
BLOCK_BYTES = {"cpu": 1 << 19, "cuda": 1 << 26}


class Feed(Protocol):
    """Examples by their position in the endless order of a run."""

    def examples(self, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """Return the examples at positions `start` up to `stop`, on the device and normalised."""


class Epochs:
    """A seeded permutation of the training subset for each epoch, one epoch after the other."""

    def __init__(self, subset: Examples, *, seed: int) -> None:
        self.subset = subset
        self._order = lru_cache(maxsize=2)(self._permutation)
        self._seed = seed
        self._generator = torch.Generator()

    def examples(self, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """Return the examples at positions `start` up to `stop`; they may come from several epochs."""
        return self.subset.take(self.index(start, stop))

    def index(self, start: int, stop: int) -> Tensor:
        """Return which examples of the subset stand at positions `start` up to `stop`, (stop - start,) int64."""
        n = len(self.subset)
        parts = [self._order(epoch)[max(start - epoch * n, 0) : stop - epoch * n] for epoch in _blocks(start, stop, n)]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _permutation(self, epoch: int) -> Tensor:
        self._generator.manual_seed(derive(self._seed, "order", epoch))
        order = torch.randperm(len(self.subset), generator=self._generator)
        return order.to(self.subset.device) if isinstance(self.subset, Resident) else order


class MappedEpochs(Epochs):
    """The same of examples that the device does not hold: gathered here, then brought there."""

    def __init__(self, subset: Mapped, *, seed: int) -> None:
        super().__init__(subset, seed=seed)
        self.settle = subset.settle
        self._gather = subset.gather

    def gather(self, start: int, stop: int) -> Rows:
        """Gather the examples at positions `start` up to `stop` on the host."""
        return self._gather(self.index(start, stop))


def epochs(subset: Examples, *, seed: int) -> Epochs:
    """Make the feed of a training subset, wherever it is held."""
    return MappedEpochs(subset, seed=seed) if isinstance(subset, Mapped) else Epochs(subset, seed=seed)


class Chunks:
    """Fresh examples, chunk by chunk; the order is the stream's own. `first`: as much of the first as is needed."""

    def __init__(self, stream: Stream, first: Arrays, scale: Scale | None, device: torch.device) -> None:
        self.chunk = stream.chunk

        def draw(i: int) -> Examples:
            return put(stream.draw(i) if i else first, scale, device, reads=stream.chunk)

        self._draw = lru_cache(maxsize=2)(draw)

    def examples(self, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """Return the examples at positions `start` up to `stop`."""
        n = self.chunk
        parts = [self._draw(i).between(max(start - i * n, 0), min(stop - i * n, n)) for i in _blocks(start, stop, n)]
        if len(parts) == 1:
            return parts[0]
        return torch.cat([x for x, _ in parts]), torch.cat([y for _, y in parts])


def _blocks(start: int, stop: int, n: int) -> range:
    return range(start // n, (stop - 1) // n + 1)


@dataclass(frozen=True)
class Batches:
    """A feed cut into the batches of steps; several are gathered at a time."""

    feed: Feed
    batch: int
    together: int

    def between(self, start: int, stop: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the batches of the steps from `start` up to `stop`."""
        size = self.batch
        spans = ((step * size, min(step + self.together, stop) * size) for step in range(start, stop, self.together))
        feed = self.feed
        blocks = ahead(feed, spans) if isinstance(feed, MappedEpochs) else (feed.examples(*span) for span in spans)
        for x, y in blocks:
            yield from zip(x.split(size), y.split(size), strict=True)


def batches(feed: Feed, *, batch: int, features: int, device: torch.device) -> Batches:
    """Cut a feed into batches, gathering as many at a time as pays on the device."""
    return Batches(feed, batch, max(1, BLOCK_BYTES[device.type] // (4 * features * batch)))
