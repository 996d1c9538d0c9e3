"""Refuse optima found over runs of several kinds (data sets, optimisers) where one kind alone says otherwise."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from analysis.errors import Refusal, attempt
from analysis.numbers import exponent, interval
from analysis.table.mixtures import mixtures_of

if TYPE_CHECKING:
    import pandas as pd

    from analysis.estimates.powerline import PowerLine

LITTLE = 0.1
"""Share of an exponent by which a kind's own differs at least."""
FEWEST = 8
"""Rows from which a kind is looked at alone."""


def refuse_mixed_kinds(
    rows: pd.DataFrame, pooled: PowerLine | None, find: Callable[[pd.DataFrame], PowerLine | None], what: str
) -> None:
    """Raise `Refusal` where the exponent of one kind of runs, found alone, has an interval apart from another's.

    pooled: the line of all rows, which counts as one more kind. find: returns the line of some rows. what: the
    exponent, in words. Columns that the user pools are not looked at.
    """
    for mixture in mixtures_of(rows):
        if mixture.pooled:
            continue
        lines = {f"{value} alone": _alone(rows, mixture.code == k, find) for k, value in enumerate(mixture.values)}
        for (one, here), (other, there) in combinations({**lines, "all together": pooled}.items(), 2):
            if here and there and _apart(here, there):
                raise Refusal(
                    f"{mixture.words}, and {what} is {_words(here)} of {one}, {_words(there)} of {other}; choose one "
                    f'with --where, or say with --pool "{mixture.name}" that it may differ'
                )


def _alone(rows: pd.DataFrame, which: np.ndarray, find: Callable[[pd.DataFrame], PowerLine | None]) -> PowerLine | None:
    """Return the line of some rows; None where they are too few, or have none."""
    if which.sum() < FEWEST:
        return None
    some = rows[which].reset_index(drop=True)
    some.attrs = {}
    return attempt(lambda: find(some))[0]


def _words(line: PowerLine) -> str:
    return f"{exponent(line.exponent)} {interval(line.exponent_interval, exponent)}"


def _apart(one: PowerLine, other: PowerLine) -> bool:
    """Tell whether two exponents lie apart, by resampled intervals: the scatter about a line knows no luck."""
    here, there = one.exponent_interval, other.exponent_interval
    if {one.interval_from, other.interval_from} != {"resamples"}:
        return False
    if here is None or there is None or abs(one.exponent - other.exponent) < LITTLE * abs(other.exponent):
        return False
    return here[1] < there[0] or here[0] > there[1]
