"""The request for a suggestion, and checks of its inputs: costs of candidates, target, limit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import TYPE_CHECKING

import numpy as np

from analysis.errors import UserError
from analysis.fitting.settings import Settings, check_kind
from analysis.numbers import number
from analysis.table.columns import numbers_of
from analysis.table.recognise.written_numbers import read_numbers
from analysis.wording import counted, listed

FAR = 1e3
"""Ratio of all candidates to all runs from which their units may differ."""

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Request:
    """What to know, and how much may be spent on it.

    of: the quantity to know at the target: y, N_star, N_exponent or a parameter. limit: the total cost; most: the
    maximum number of runs. settings: of the fits, with the level of its interval.
    """

    of: str
    limit: float
    most: int
    settings: Settings


def rows_of(rows: object, name: str) -> pd.DataFrame:
    """Return rows as a DataFrame: one, a table of pyarrow or polars, or columns by name. Raises `UserError`."""
    import pandas as pd

    convert = getattr(rows, "to_pandas", None)
    rows = convert() if convert else rows
    if isinstance(rows, Mapping):
        return pd.DataFrame({column: np.atleast_1d(values) for column, values in rows.items()})
    if not isinstance(rows, pd.DataFrame):
        raise UserError(f"found a {type(rows).__name__} as {name}; wanted a pandas DataFrame")
    return rows


def costs_of(pool: pd.DataFrame, cost: str) -> np.ndarray:
    """Return the candidates' costs. Raises `UserError`."""
    if cost not in pool.columns:
        raise UserError(f"found no column {cost!r} in the pool ({listed(pool.columns)}); name it with cost")
    if not len(pool):
        raise UserError("found an empty pool; wanted one candidate or more; add some")
    if not pool.index.is_unique:
        twice = pool.index[pool.index.duplicated()][0]
        raise UserError(f"found the label {twice!r} twice in the pool's index; wanted one a row; reset_index it")
    return positive(pool, cost, "the pool")


def other_units(pool: pd.DataFrame, made: pd.DataFrame) -> tuple[str, ...]:
    """Ask about the units of N and D where all candidates are far from all runs."""
    asked = []
    for name in ("N", "D"):
        if name in pool.columns and name in made.columns:
            (low, high), (least, most) = (_ends(rows[name]) for rows in (pool, made))
            if high * FAR < least or low > most * FAR:
                here, there = (f"{number(x, 3)} to {number(y, 3)}" for x, y in ((low, high), (least, most)))
                asked.append(f"{name} is {here} in the pool and {there} in the runs: in other units?")
    return tuple(asked)


def _ends(column: pd.Series) -> tuple[float, float]:
    values, _ = read_numbers(column)
    return float(np.nanmin(values, initial=np.inf)), float(np.nanmax(values, initial=0))


def column_of(rows: pd.DataFrame, column: str, where: str, law: str) -> np.ndarray:
    """Return a law's input as positive numbers. Raises `UserError`."""
    if column not in rows.columns:
        raise UserError(f"found no {column} in {where} ({listed(rows.columns)}); the law {law} wants it; add it")
    return positive(rows, column, where)


def positive(rows: pd.DataFrame, column: str, where: str) -> np.ndarray:
    """Return a column of written numbers as positive floats. Raises `UserError` that names the first invalid row."""
    values = numbers_of(rows[column], column)
    bad = np.flatnonzero(~(np.isfinite(values) & (values > 0)))
    if len(bad):
        raise UserError(
            f"found {counted(len(bad), 'row')} of {where} whose {column} is not a positive number (row "
            f"{rows.index[bad[0]]}: {rows[column].iloc[bad[0]]}); wanted positive numbers; take such rows out"
        )
    return values


def check_request(target: pd.DataFrame, limit: float, most: int) -> None:
    """Raise `UserError` for a target without rows, or an invalid limit or number of runs."""
    if not len(target):
        raise UserError("found an empty target; wanted the points at which the law shall be known; add one")
    check_kind("limit", limit, Real, "a positive number, in the units of the costs")
    check_kind("most", most, Integral, "the number of runs of a round, one or more")
    if not limit > 0:
        raise UserError(f"found limit={limit}; wanted a positive number, in the units of the costs")
    if not most >= 1:
        raise UserError(f"found most={most}; wanted the number of runs of a round, one or more")
