"""Choose the first runs, before a law can be fitted: a space-filling (maximin) design, cheap runs first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from analysis.estimates.suggest.design import COST_POWER
from analysis.numbers import number

if TYPE_CHECKING:
    import pandas as pd

    from analysis.estimates.suggest.prices import Prices
    from analysis.laws.base import Array


def fill(
    made: pd.DataFrame, pool: pd.DataFrame, prices: Prices, *, by: Sequence[str], limit: float, most: int
) -> list[int]:
    """Choose candidates (positions in pool), each far from the runs made and chosen, relative to its cost.

    A choice maximises squared distance / cost^power, as gain is weighed against cost in `design`. by: positive columns;
    distances are in their logarithms, scaled by the range of runs and candidates together. If nothing has been run, the
    cheapest comes first. most: maximum number of runs; limit: maximum total cost.
    """
    seen, free = (np.log(table[list(by)].to_numpy(dtype=float)) for table in (made, pool))
    every = np.concatenate([seen, free])
    width = np.maximum(every.max(axis=0) - every.min(axis=0), 1e-12)
    square = np.full(len(free), np.inf)
    for one in seen:
        square = np.minimum(square, _square(free, one, width))
    chosen = list[int]()
    while len(chosen) < most:
        costs = prices.added(chosen)
        able = (costs <= (limit - prices.of(chosen)) * (1 + 1e-12)) & (square > 0)
        able[chosen] = False
        if not able.any():
            break
        nearness = np.where(np.isfinite(square), square, 1.0)
        i = int(np.argmax(np.where(able, nearness / costs**COST_POWER, -np.inf)))
        chosen.append(i)
        square = np.minimum(square, _square(free, free[i], width))
    return chosen


def nowhere_new(made: pd.DataFrame, pool: pd.DataFrame, prices: Prices, *, by: Sequence[str], limit: float) -> str:
    """Return why no candidate is chosen of those that have another place than the runs made."""
    known = set(made[by].astype(float).itertuples(index=False, name=None))
    new = [place not in known for place in pool[by].astype(float).itertuples(index=False, name=None)]
    if not any(new):
        return f"every candidate has the {' and '.join(by)} of a run that was made; wanted others"
    which = "" if all(new) else f" with another {' or '.join(by)}"
    cheapest = float(prices.alone[new].min())
    return f"the cheapest candidate{which} costs {number(cheapest)}, more than the limit of {number(limit)}"


def _square(points: Array, one: Array, width: Array) -> Array:
    """Return the squared distances (m,) of points (m, k) from one point (k,)."""
    return np.asarray((((points - one) / width) ** 2).sum(axis=1))
