"""The cost of a batch of candidates; training shared by several runs (a trunk, a parent) is paid once."""

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
"""Columns of a pool, all or none: the name of the training that a candidate shares (or nothing); its cost if a leading
run is in the batch too; and whether it leads, that is, whether other runs can continue from its training."""


@dataclass(frozen=True)
class Prices:
    """Costs of candidates: alone (m,), and shared (m,) if a run of the same group that leads is in the batch.

    group: -1 for none. In each group of a batch, the most expensive run that leads pays its full cost, the others their
    shared cost.
    """

    alone: Array
    shared: Array
    group: np.ndarray
    leads: np.ndarray

    def of(self, chosen: Sequence[int]) -> float:
        """Return the cost of a batch."""
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
        """Return the additional cost of each candidate (m,) given a batch."""
        found = self.alone.copy()
        for group in set(self.group[list(chosen)].tolist()) - {-1}:
            mine = [i for i in chosen if self.group[i] == group]
            before = self.of(mine)
            for i in np.flatnonzero(self.group == group):
                found[i] = self.of([*mine, int(i)]) - before
        return np.maximum(found, 1e-12 * self.alone)

    def steps(self, chosen: Sequence[int]) -> list[float]:
        """Return the additional cost of each run of a batch given those before it."""
        totals = [self.of(chosen[:k]) for k in range(len(chosen) + 1)]
        return np.diff(totals).tolist()


def apart(costs: Array) -> Prices:
    """Return the prices of candidates without shared training."""
    return Prices(costs, costs, np.full(len(costs), -1), np.zeros(len(costs), dtype=bool))


def prices_of(pool: pd.DataFrame, costs: Array) -> Prices:
    """Return the prices of a pool. costs: of each candidate alone (m,)."""
    if not set(SHARING) <= set(pool.columns):
        return apart(costs)
    name, cost, leads = (pool[column] for column in SHARING)
    codes = name.where(name.notna(), None).astype("category").cat.codes.to_numpy(dtype=int)
    beside = numbers_of(cost, "cost_shared")
    beside = np.where(np.isfinite(beside) & (beside > 0), np.minimum(beside, costs), costs)
    return Prices(costs, beside, codes, as_bool(leads).to_numpy(dtype=bool))
