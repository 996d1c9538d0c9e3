"""What a batch of candidates costs: runs that share a part of their training (a trunk, a parent) pay for it once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from analysis.table.columns import numbers_of
from analysis.table.select import as_bool

if TYPE_CHECKING:
    import pandas as pd

    from analysis.laws.base import Array

SHARING = ("shares", "cost_shared", "leads")
"""Columns of a pool, together or not at all: what a candidate shares with others (a name, or nothing), what it costs
where one of them is in the batch that leads, and whether it leads: whether others can go on from what it trains."""


@dataclass(frozen=True)
class Prices:
    """Costs of candidates alone (m,); of those that share with others (-1: with none), the costs beside one that leads.

    Of those in a batch that share, the dearest that leads pays all, the others what they train themselves.
    """

    alone: Array
    shared: Array
    group: np.ndarray
    leads: np.ndarray

    def of(self, chosen: Sequence[int]) -> float:
        """Return what a batch costs."""
        places = np.asarray(chosen, dtype=int)
        total = float(self.alone[places].sum())
        for group in set(self.group[places].tolist()) - {-1}:
            mine = places[self.group[places] == group]
            first = mine[self.leads[mine]]
            if len(first):
                others = mine[mine != first[np.argmax(self.alone[first])]]
                total -= float((self.alone[others] - self.shared[others]).sum())
        return total

    def added(self, chosen: Sequence[int]) -> Array:
        """Return what each candidate adds to the costs of a batch, (m,)."""
        found = self.alone.copy()
        for group in set(self.group[list(chosen)].tolist()) - {-1}:
            mine = [i for i in chosen if self.group[i] == group]
            before = self.of(mine)
            for i in np.flatnonzero(self.group == group):
                found[i] = self.of([*mine, int(i)]) - before
        return np.maximum(found, 1e-12 * self.alone)

    def steps(self, chosen: Sequence[int]) -> list[float]:
        """Return what each of a batch adds to those before it."""
        totals = [self.of(chosen[:k]) for k in range(len(chosen) + 1)]
        return np.diff(totals).tolist()


def apart(costs: Array) -> Prices:
    """Return the prices of candidates that share nothing."""
    return Prices(costs, costs, np.full(len(costs), -1), np.zeros(len(costs), dtype=bool))


def prices_of(pool: pd.DataFrame, costs: Array) -> Prices:
    """Return the prices of a pool; costs: of each candidate alone (m,)."""
    if not set(SHARING) <= set(pool.columns):
        return apart(costs)
    name, cost, leads = (pool[column] for column in SHARING)
    codes = name.where(name.notna(), None).astype("category").cat.codes.to_numpy(dtype=int)
    beside = numbers_of(cost, "cost_shared")
    beside = np.where(np.isfinite(beside) & (beside > 0), np.minimum(beside, costs), costs)
    return Prices(costs, beside, codes, as_bool(leads).to_numpy(dtype=bool))
