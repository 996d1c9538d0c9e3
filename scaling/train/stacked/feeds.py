"""The batches of many members: read together where they share a data set, and once where they share an order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import cast

import torch
from torch import Tensor

from scaling.train.feed.feed import Epochs, Feed, batches_at_once
from scaling.train.feed.resident import Resident


@dataclass(frozen=True)
class Order:
    """One order of examples, and the position in it, in steps."""

    feed: Feed
    step: int


@dataclass(frozen=True)
class StackedFeed:
    """The different orders of the members, and which of them each member follows, (K,) int64."""

    orders: tuple[Order, ...]
    followed: Tensor

    @classmethod
    def of(cls, feeds: Sequence[Feed], steps: Sequence[int], device: torch.device) -> StackedFeed:
        """Put members together that read the same feed and stand at the same step."""
        keys = [(id(feed), step) for feed, step in zip(feeds, steps, strict=True)]
        orders = {key: Order(feed, key[1]) for key, feed in zip(keys, feeds, strict=True)}
        places = {key: place for place, key in enumerate(orders)}
        return cls(tuple(orders.values()), torch.tensor([places[key] for key in keys], device=device))

    def batches(self, count: int, *, batch: int, shape: tuple[int, ...]) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield x (K, batch, *shape) and y (K, batch) of the next `count` steps."""
        device, each = self.followed.device, len(self.orders) < len(self.followed)
        feeds = [order.feed for order in self.orders]
        at_once = batches_at_once(feeds, batch=batch, features=prod(shape), device=device)
        for start in range(0, count, at_once):
            stop = min(start + at_once, count)
            x, y = self._read(start, stop, batch)
            for first in range(0, (stop - start) * batch, batch):
                part = x[:, first : first + batch], y[:, first : first + batch]
                yield (part[0].index_select(0, self.followed), part[1].index_select(0, self.followed)) if each else part

    def _read(self, start: int, stop: int, batch: int) -> tuple[Tensor, Tensor]:
        """Return the examples of the steps from `start` up to `stop` of each order, (orders, n, *shape) and labels."""
        spans = [((order.step + start) * batch, (order.step + stop) * batch) for order in self.orders]
        shared = self._shared()
        if shared is not None:
            index = [cast("Epochs", order.feed).index(*span) for order, span in zip(self.orders, spans, strict=True)]
            x, y = shared.take(torch.cat(index))
            return x.unflatten(0, (len(spans), -1)), y.unflatten(0, (len(spans), -1))
        parts = [order.feed.examples(*span) for order, span in zip(self.orders, spans, strict=True)]
        return torch.stack([x for x, _ in parts]), torch.stack([y for _, y in parts])

    def _shared(self) -> Resident | None:
        """Return the examples that all orders read, None where they read different ones."""
        subsets = [order.feed.subset if type(order.feed) is Epochs else None for order in self.orders]
        first = subsets[0]
        return first if isinstance(first, Resident) and all(subset is first for subset in subsets) else None
