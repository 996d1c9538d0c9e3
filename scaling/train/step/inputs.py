"""The inputs of a captured step: buffers, filled before each step, and the examples read through them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from scaling.train.feed.feed import Batches, Epochs
from scaling.train.feed.resident import Resident


@dataclass(frozen=True)
class Inputs:
    """The inputs of a captured step.

    buffers: read by the step; between(start, stop): yields their values for each of these steps; examples: called
    within the step, returns the examples and labels that the buffers describe.
    """

    buffers: Sequence[Tensor]
    between: Callable[[int, int], Iterator[Sequence[Tensor]]]
    examples: Callable[[], tuple[Tensor, Tensor]]

    def fill(self, values: Sequence[Tensor]) -> None:
        """Copy the next step's values into the buffers."""
        for buffer, value in zip(self.buffers, values, strict=True):
            buffer.copy_(value, non_blocking=True)


def inputs_of(batches: Batches, step: int) -> Inputs:
    """Return the inputs from `step` on: indices if all examples are on the device, otherwise the examples."""
    feed = batches.feed
    if isinstance(feed, Epochs) and isinstance(feed.subset, Resident):
        return _by_index(feed, feed.subset, batches.batch)
    x, y = next(iter(batches.between(step, step + 1)))
    buffers = torch.empty_like(x), torch.empty_like(y)
    return Inputs(buffers, batches.between, lambda: buffers)


def _by_index(feed: Epochs, subset: Resident, batch: int) -> Inputs:
    index = torch.zeros(batch, dtype=torch.int64, device=subset.device)

    def between(start: int, stop: int) -> Iterator[Sequence[Tensor]]:
        for step in range(start, stop):
            yield (feed.index(step * batch, (step + 1) * batch),)

    return Inputs((index,), between, lambda: subset.take(index))
