"""Rows that repeat another: the same run, inputs and response, up to rounding."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import numpy as np
import pandas as pd

from analysis.table.remarks import with_remarks
from analysis.wording import counted

NEAR = 5e-5
"""Relative difference up to which two inputs count as one setting. Numbers written with five digits differ by less, and
so do runs that end a few examples apart; the effect on a loss is below any noise."""
SAME = 2e-7
"""Relative difference up to which two responses count as equal: 32-bit rounding."""
ROUNDED = 1e-3
"""The same for a response that may be the other one written with fewer digits."""
FEWER = 2
"""Minimum number of decimals by which such a response is shorter: by one it may be, as its last digit is zero."""


def value_numbers(values: np.ndarray) -> np.ndarray:
    """Number positive values (n,) from the smallest; those within `NEAR` of the first of a number share it."""
    distinct, which = np.unique(np.log(values), return_inverse=True)
    if not (np.diff(distinct) <= NEAR).any():
        return which
    firsts, next_first = [0], np.searchsorted(distinct, distinct + NEAR, side="right").tolist()
    while next_first[firsts[-1]] < len(distinct):
        firsts.append(next_first[firsts[-1]])
    return np.searchsorted(firsts, np.arange(len(distinct)), side="right")[which] - 1


def without_repeats(rows: pd.DataFrame, columns: Sequence[str], y: str) -> tuple[pd.DataFrame, int]:
    """Drop rows that repeat another: same run, inputs and y, up to rounding.

    Rows of another seed with the same loss are kept.
    """
    keys = {name: value_numbers(rows[name].to_numpy(float)) for name in columns}
    keys |= {name: rows[name].to_numpy() for name in ("run_id", "seed", "step") if name in rows.columns}
    group = rows.assign(**keys).groupby(list(keys), dropna=False, sort=False).ngroup().to_numpy()
    value = rows[y].to_numpy(float)
    order = np.lexsort((value, group))
    apart = np.where(np.diff(group[order]) == 0, np.diff(value[order]), np.inf)
    size = np.abs(value[order][1:])
    repeated = list(order[1:][apart <= SAME * size])
    short = _has_few_digits(value[order])
    near = (apart > SAME * size) & (apart <= ROUNDED * size) & (short[1:] | short[:-1])
    for k in np.flatnonzero(near):
        fewer, more = sorted(order[k : k + 2].tolist(), key=lambda row: _decimals(value[row].item()))
        written, exact = _decimals(value[fewer].item()), _decimals(value[more].item())
        if exact - written >= FEWER and round(value[more].item(), written) == value[fewer]:
            repeated.append(fewer)
    if not repeated:
        return rows, 0
    kept = np.ones(len(rows), dtype=bool)
    kept[repeated] = False
    return rows[kept].reset_index(drop=True), int((~kept).sum())


def _has_few_digits(values: np.ndarray) -> np.ndarray:
    """Tell which values (n,) have eight digits at most, as one that is rounded by more than `SAME` has."""
    with np.errstate(all="ignore"):
        digits = values / 10.0 ** np.floor(np.log10(np.abs(values)))
    return np.abs(np.round(digits, 7) - digits) < 1e-12


def repeats_words(count: int) -> str:
    """Return a phrase on rows that are left out."""
    return f"{counted(count, 'row')} that {'repeats' if count == 1 else 'repeat'} another"


def distinct(rows: pd.DataFrame, columns: Sequence[str], y: str) -> pd.DataFrame:
    """Drop rows that repeat another in the given columns (as far as they exist), with a remark."""
    rows, repeated = without_repeats(rows, [name for name in columns if name in rows.columns], y)
    return with_remarks(rows, *([f"left out: {repeats_words(repeated)}"] if repeated else []))


def _decimals(value: float) -> int:
    """Return the number of decimals with which a number is written."""
    return -int(Decimal(repr(value)).as_tuple().exponent)
