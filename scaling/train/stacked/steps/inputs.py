"""The inputs of a stack's steps: learning rates and examples of a block of steps, and buffers for captured steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from scaling.train.stacked.feeds import StackedFeed
from scaling.train.step.graph import WARM_UPS

MOST_STEPS = 64  # most steps that the buffers hold
MOST_BYTES = 1 << 28  # 256 MiB: largest size of the buffers of examples; of large ones they hold fewer steps


@dataclass(frozen=True)
class Block:
    """The steps until the next check of the stack; factors (steps, T, K) float32: see `StackedOptimiser.table`."""

    factors: np.ndarray
    feed: StackedFeed

    def __len__(self) -> int:
        return len(self.factors)

    @property
    def members(self) -> int:
        """The number of members, K."""
        return self.factors.shape[2]

    def table(self, device: torch.device, start: int = 0, stop: int | None = None) -> Tensor:
        """Return the factors of some steps, (steps, T, K, 1), on the host, pinned for a GPU."""
        part = torch.from_numpy(self.factors[start:stop]).unsqueeze(3)
        return part.pin_memory() if device.type == "cuda" else part


class Buffers:
    """The buffers that a captured step reads: the factors and examples of several steps.

    They hold indices if all orders are of one set on the device, otherwise the examples; the steps of an order are
    contiguous. places (1 + K,): position of the next step's factors, and of each member's examples.
    """

    def __init__(self, block: Block, device: torch.device) -> None:
        feed, (_, kinds, members) = block.feed, block.factors.shape
        self.device, self._shared = device, feed.shared()
        sample = feed.indices(0, 1) if self._shared is not None else feed.examples(0, 1)
        each = sum(part.nbytes for part in sample)
        self.steps = max(WARM_UPS, min(MOST_STEPS, MOST_BYTES // each))
        room = (self.steps, feed.batch)  # (orders, steps, batch, *shape) for parts (orders, batch, *shape) of one step
        self._parts = [
            torch.zeros((len(part), *room, *part.shape[2:]), dtype=part.dtype, device=device) for part in sample
        ]
        self.places = torch.zeros(1 + members, dtype=torch.int64, device=device)
        self._factors = torch.zeros((self.steps, kinds, members, 1), device=device)

    def values(self, block: Block, start: int, stop: int) -> list[Tensor]:
        """Return the buffers' values for the steps of a block from `start` up to `stop`, at most `steps`.

        They are on the host, pinned for a GPU.
        """
        feed = block.feed
        parts = feed.indices(start, stop) if self._shared is not None else feed.examples(start, stop)
        cut = (part.unflatten(1, (stop - start, feed.batch)) for part in parts)
        first = torch.tensor([0, *feed.followed]) * self.steps
        return [block.table(self.device, start, stop), *map(self._near, (first, *cut))]

    def _near(self, value: Tensor) -> Tensor:
        return value.pin_memory() if value.device.type == "cpu" and self.device.type == "cuda" else value

    def fill(self, values: Sequence[Tensor]) -> None:
        """Copy the values for the next steps into the buffers."""
        table, first, *parts = values
        self._factors[: len(table)].copy_(table, non_blocking=True)
        self.places.copy_(first, non_blocking=True)
        for room, part in zip(self._parts, parts, strict=True):
            room[: len(part), : len(table)].copy_(part, non_blocking=True)

    def read(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return x (K, batch, *shape), y (K, batch) and factors (T, K, 1) of the next step, and advance by one step."""
        factors = self._factors.index_select(0, self.places[:1]).squeeze(0)
        found = [part.flatten(0, 1).index_select(0, self.places[1:]) for part in self._parts]
        self.places.add_(1)
        if self._shared is None:
            return found[0], found[1], factors
        x, y = self._shared.take(found[0].flatten())
        return x.unflatten(0, found[0].shape), y.unflatten(0, found[0].shape), factors
