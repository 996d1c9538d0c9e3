"""The order in which a run reads its examples: a function of seed and position, so that resuming needs no replay."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache, partial
from typing import Protocol, Self
from weakref import WeakSet

import torch
from torch import Tensor

from scaling.data.base import Arrays, Stream
from scaling.data.memory import MEMORY
from scaling.train.device import used_device
from scaling.train.feed.draw_ahead import Ahead
from scaling.train.feed.mapped import Mapped, prefetch
from scaling.train.feed.normalisation import Normalisation
from scaling.train.feed.resident import Examples, Pinned, Resident, copied
from scaling.train.sizes import drawers
from scaling.train.streams import stream

# Bytes gathered at a time. On a CPU a gather should fit into the second-level cache (measured: 14 us for a batch of
# 400 kB taken alone, 209 us as one of 16); on a GPU fewer launches matter more.
BLOCK_BYTES = {"cpu": 1 << 19, "cuda": 1 << 26}
LAST_TWO = lru_cache(maxsize=2)  # a batch may end one block of examples and begin the next
AHEAD_PART = 4  # chunks drawn ahead take at most 1/4 of the memory for data, if there is room for more than one
LONG_ORDER = 1 << 17  # examples; permutations of more take milliseconds and are drawn ahead


class Feed(Protocol):
    """Examples by their position in the endless order of a run."""

    def examples(self, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """Return the examples at positions `start` up to `stop`, on the device and normalised."""


class Permutations:
    """A seeded permutation of `n` examples for each epoch, one epoch after the other, on a device."""

    def __init__(self, n: int, seed: int, device: torch.device) -> None:
        self._n = n
        permutation = partial(_permutation, n, seed, device)  # not a method, which would make a reference cycle
        drawn = Ahead(permutation) if n >= LONG_ORDER else permutation
        # Copied by the run's own thread and on its stream; another thread must not wait for a GPU during a capture.
        self._epoch = LAST_TWO(lambda epoch: drawn(epoch).to(device, non_blocking=True))

    def index(self, start: int, stop: int) -> Tensor:
        """Return the indices of the examples at positions `start` up to `stop`, (stop - start,) int64."""
        n, blocks = self._n, _blocks(start, stop, self._n)
        parts = [self._epoch(epoch)[max(start - epoch * n, 0) : stop - epoch * n] for epoch in blocks]
        return parts[0] if len(parts) == 1 else torch.cat(parts)


class Epochs:
    """A seeded permutation of the training subset for each epoch, one epoch after the other."""

    def __init__(self, subset: Examples, *, seed: int) -> None:
        self.subset: Examples = subset
        self._seed = seed
        device = subset.device if isinstance(subset, Resident) else torch.device("cpu")
        self.index = Permutations(len(subset), seed, device).index  # (start, stop) -> indices

    def examples(self, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """Return the examples at positions `start` up to `stop`; they may come from several epochs."""
        return self.subset.take(self.index(start, stop))

    @cached_property
    def index_on_host(self) -> Callable[[int, int], Tensor]:
        """Return the same as `index`, in host memory."""
        return Permutations(len(self.subset), self._seed, torch.device("cpu")).index

    def stored(self) -> Self:
        """Return the feed of the same examples without normalisation."""
        twin = copy(self)
        twin.subset = replace(self.subset, scale=None)
        return twin


def _permutation(n: int, seed: int, device: torch.device, epoch: int) -> Tensor:
    """Return the order of an epoch in host memory, pinned for a GPU."""
    order = torch.randperm(n, generator=stream(seed, "order", epoch))
    with used_device(device):  # a thread begins with the first one
        return order if device.type == "cpu" else order.pin_memory()


class Chunks:
    """Fresh examples in the stream's own order, chunk by chunk.

    first: the first chunk, or as much of it as is needed; until: number of examples that will be read.
    """

    def __init__(
        self, fresh: Stream, first: Arrays, scale: Normalisation | None, device: torch.device, *, until: int
    ) -> None:
        self.chunk = fresh.chunk
        self._reader = partial(_reader, fresh, first, scale, device, until)  # not a method: see Permutations

    @cached_property
    def _draw(self) -> Callable[[int], Resident]:
        """Return the function that returns a chunk on the device.

        A feed takes its share of the cores when it is first read. Those of members that read another's take none.
        """
        share = 1 + len(DRAWING)
        DRAWING.add(self)
        return self._reader(share)

    def examples(self, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """Return the examples at positions `start` up to `stop`."""
        n = self.chunk
        parts = [self._draw(i).between(max(start - i * n, 0), min(stop - i * n, n)) for i in _blocks(start, stop, n)]
        if len(parts) == 1:
            return parts[0]
        return torch.cat([x for x, _ in parts]), torch.cat([y for _, y in parts])


DRAWING: WeakSet[Chunks] = WeakSet()  # those that are read, of all members of a stack: they share the cores


def _reader(
    fresh: Stream, first: Arrays, scale: Normalisation | None, device: torch.device, until: int, share: int
) -> Callable[[int], Resident]:
    """Return the function that returns a chunk on the device; share: number of feeds that share the cores."""

    def draw(i: int) -> Pinned | Arrays:
        drawn = fresh.draw(i) if i else first
        return drawn if device.type == "cpu" else Pinned.of(drawn, device)

    size, last = fresh.chunk * (first.x.nbytes + first.y.nbytes) / len(first), -(-until // fresh.chunk)
    # Each thread holds a chunk ahead: those of all feeds together keep within the memory for data.
    threads = max(1, min(drawers(device.type) // share, int(MEMORY.limit / (AHEAD_PART * share * size))))
    # A stream that uses the global random streams must not draw while the run uses them too.
    drawn = Ahead(draw, until=last, threads=threads) if fresh.thread_safe else LAST_TWO(draw)
    # A chunk is small, so that the free memory of a GPU is not looked up each time.
    return LAST_TWO(lambda i: copied(drawn(i), scale, device, reads=fresh.chunk))


def _blocks(start: int, stop: int, n: int) -> range:
    return range(start // n, (stop - 1) // n + 1)


@dataclass(frozen=True)
class Batches:
    """A feed cut into one batch a step; the batches of `at_once` steps are gathered together."""

    feed: Feed
    batch: int
    at_once: int

    def stored(self) -> tuple[Batches, Normalisation | None]:
        """Return the batches without normalisation, and the normalisation."""
        if not isinstance(self.feed, Epochs):
            return self, None
        return replace(self, feed=self.feed.stored()), self.feed.subset.scale

    def between(self, start: int, stop: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the batches of the steps from `start` up to `stop`."""
        size = self.batch
        spans = ((step * size, min(step + self.at_once, stop) * size) for step in range(start, stop, self.at_once))
        feed = self.feed
        if isinstance(feed, Epochs) and isinstance(feed.subset, Mapped):
            blocks = prefetch(feed.subset, (feed.index(*span) for span in spans))
        else:
            blocks = (feed.examples(*span) for span in spans)
        for x, y in blocks:
            yield from zip(x.split(size), y.split(size), strict=True)


def batches(feed: Feed, *, batch: int, features: int, device: torch.device) -> Batches:
    """Cut a feed into batches, gathered in blocks of the size that is fastest on the device."""
    return Batches(feed, batch, batches_at_once([feed], batch=batch, features=features, device=device))


def batches_at_once(feeds: Sequence[Feed], *, batch: int, features: int, device: torch.device) -> int:
    """Return how many batches of each feed are gathered together, for fresh examples no more than a chunk."""
    most = BLOCK_BYTES[device.type] // (4 * features * len(feeds))
    chunks = [feed.chunk for feed in feeds if isinstance(feed, Chunks)]
    return max(1, min([most, *chunks]) // batch)
