"""The batches of all members: read together if they share a data set, and only once if they share an order."""

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
    """An order of examples and a position in it; step: the position in steps."""

    feed: Feed
    step: int


@dataclass(frozen=True)
class StackedFeed:
    """The distinct orders of the members, and the index of each member's order; batch: examples a step."""

    orders: tuple[Order, ...]
    followed: tuple[int, ...]
    batch: int

    @classmethod
    def of(cls, feeds: Sequence[Feed], steps: Sequence[int], batch: int) -> StackedFeed:
        """Group members that read the same feed and are at the same step."""
        keys = [(id(feed), step) for feed, step in zip(feeds, steps, strict=True)]
        orders = {key: Order(feed, key[1]) for key, feed in zip(keys, feeds, strict=True)}
        places = {key: place for place, key in enumerate(orders)}
        return cls(tuple(orders.values()), tuple(places[key] for key in keys), batch)

    def batches(self, count: int, device: torch.device, shape: tuple[int, ...]) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield x (K, batch, *shape) and y (K, batch) of the next `count` steps."""
        batch, feeds = self.batch, [order.feed for order in self.orders]
        is_shared = len(self.orders) < len(self.followed)
        followed = torch.tensor(self.followed, device=device)
        at_once = batches_at_once(feeds, batch=batch, features=prod(shape), device=device)
        for start in range(0, count, at_once):
            stop = min(start + at_once, count)
            x, y = self.examples(start, stop)
            for first in range(0, (stop - start) * batch, batch):
                part = x[:, first : first + batch], y[:, first : first + batch]
                yield (part[0].index_select(0, followed), part[1].index_select(0, followed)) if is_shared else part

    def examples(self, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """Return the examples of the steps from `start` up to `stop` of each order, (orders, n, *shape) and labels."""
        shared = self.shared()
        if shared is not None:
            index = [cast("Epochs", order.feed).index(*self._span(order, start, stop)) for order in self.orders]
            x, y = shared.take(torch.cat(index))
            return x.unflatten(0, (len(index), -1)), y.unflatten(0, (len(index), -1))
        parts = [order.feed.examples(*self._span(order, start, stop)) for order in self.orders]
        return torch.stack([x for x, _ in parts]), torch.stack([y for _, y in parts])

    def indices(self, start: int, stop: int) -> tuple[Tensor]:
        """Return the indices of these examples in the set that all orders share, (orders, n) int64 in host memory."""
        orders = [(cast("Epochs", order.feed), order) for order in self.orders]
        return (torch.stack([feed.index_on_host(*self._span(order, start, stop)) for feed, order in orders]),)

    def _span(self, order: Order, start: int, stop: int) -> tuple[int, int]:
        return (order.step + start) * self.batch, (order.step + stop) * self.batch

    def shared(self) -> Resident | None:
        """Return the set that all orders read, None if they read different ones or it is not on the device."""
        subsets = [order.feed.subset if type(order.feed) is Epochs else None for order in self.orders]
        first = subsets[0]
        return first if isinstance(first, Resident) and all(subset is first for subset in subsets) else None
