"""Refuse optima over runs of several kinds (data sets, optimisers) if one kind alone has another exponent."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from analysis.errors import Refusal, attempt
from analysis.fitting.verdict.pooling import LITTLE, SURE
from analysis.numbers import exponent, interval
from analysis.table.mixtures import mixtures_of

if TYPE_CHECKING:
    import pandas as pd

    from analysis.estimates.powerline import PowerLine

FEWEST = 8
"""Minimum number of rows for fitting a kind alone."""


def refuse_mixed_kinds(
    rows: pd.DataFrame, pooled: PowerLine | None, find: Callable[[pd.DataFrame], PowerLine | None], what: str
) -> None:
    """Raise `Refusal` where the exponent of one kind of runs alone differs significantly from another's.

    pooled: the line of all rows, treated as one more kind. find: returns the line of some rows. what: the exponent, in
    words. Columns that the user pools are not checked.
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
    """Return the line of the selected rows; None where there are too few or no line is found."""
    if which.sum() < FEWEST:
        return None
    some = rows[which].reset_index(drop=True)
    some.attrs = {}
    return attempt(lambda: find(some))[0]


def _words(line: PowerLine) -> str:
    return f"{exponent(line.exponent)} {interval(line.exponent_interval, exponent)}"


def _apart(one: PowerLine, other: PowerLine) -> bool:
    """Tell whether two exponents differ significantly, by their resamples; intervals from scatter are not used.

    As many columns with many values are compared, disjoint 95 % intervals are not sufficient.
    """
    here, there = one.exponent_interval, other.exponent_interval
    if {one.interval_from, other.interval_from} != {"resamples"} or here is None or there is None:
        return False
    deviation = float(np.hypot(np.ptp(here), np.ptp(there))) / 2 / NormalDist().inv_cdf((1 + one.level) / 2)
    return abs(one.exponent - other.exponent) > max(SURE * deviation, LITTLE * abs(other.exponent))
