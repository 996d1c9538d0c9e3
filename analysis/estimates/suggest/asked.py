"""What a suggestion is asked with, checked: costs of candidates, a target, a limit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from analysis.errors import UserError

if TYPE_CHECKING:
    import pandas as pd


def costs_of(pool: pd.DataFrame, cost: str) -> np.ndarray:
    """Return the candidates' costs. Raises `UserError`."""
    if cost not in pool.columns:
        raise UserError(
            f"found no column {cost!r} in the pool ({', '.join(map(str, pool.columns))}); name it with cost"
        )
    if not len(pool):
        raise UserError("found an empty pool; wanted one candidate or more; add some")
    costs = np.asarray(pool[cost].to_numpy(dtype=float))
    if not (np.isfinite(costs).all() and (costs > 0).all()):
        raise UserError(
            f"found {cost} that is not a positive number; wanted what each candidate costs; take such rows out"
        )
    return costs


def check_asked(target: pd.DataFrame, limit: float, most: int) -> None:
    """Raise `UserError` for a target without rows, and a limit or a number of runs that is none."""
    if not len(target):
        raise UserError("found an empty target; wanted the points at which the law shall be known; add one")
    if not limit > 0:
        raise UserError(f"found limit={limit}; wanted a positive number, in the units of the costs")
    if not most >= 1:
        raise UserError(f"found most={most}; wanted the number of runs of a round, one or more")
