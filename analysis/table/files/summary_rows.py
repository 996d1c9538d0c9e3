"""Rows at the end of a table that summarise those above them, such as their means: they are no runs."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.table.recognise.statuses import plain_name
from analysis.table.recognise.written_numbers import as_number
from analysis.table.remarks import with_remarks
from analysis.wording import listed

MOST = 6
"""Maximum number of such rows."""
FEWEST = 4
"""Minimum number of rows above them."""
LARGEST = 20_000
"""Number of rows above which a table was written by a program, which adds no such rows."""
NEAR = 5e-3
"""Relative difference up to which a value is the statistic, as it may be rounded."""
SUMS = 1e-4
"""The same for a sum, as in a series that doubles each value is nearly the sum of those before."""
STATISTICS = {"means": "mean", "sums": "sum", "standard deviations": "std"}
"""What a row may hold, with pandas' name for it."""
BESIDE = {"medians": "median", "minima": "min", "maxima": "max"}
"""The same of a row beside one of those; alone it may be a run, such as the largest."""

LABELS = ("mean", "means", "average", "avg", "total", "sum", "std", "sd", "stdev")
"""What such a row may be called."""


def without_summary(table: pd.DataFrame) -> pd.DataFrame:
    """Remove last rows that hold a statistic of the rows above, such as their means, with a remark."""
    kinds = table.dtypes
    numeric = [name for name in table.columns if pd.api.types.is_any_real_numeric_dtype(kinds[name])]
    if len(table) > LARGEST or len(numeric) < 2:
        return table
    numbers = table[numeric].astype(float).replace([np.inf, -np.inf], np.nan)
    for k in range(min(MOST, len(table) - FEWEST), 0, -1):
        held = _kinds(numbers.iloc[:-k], numbers.iloc[-k:].to_numpy())
        if all(held) and STATISTICS.keys() & set(held) and not _is_of_runs(table, k):
            rows = "the last row holds" if k == 1 else f"the last {k} rows hold"
            return with_remarks(table.iloc[:-k], f"left out: {rows} the {listed(held)} of the rows above")
    return table


def _is_of_runs(table: pd.DataFrame, k: int) -> bool:
    """Tell whether the last k rows, without a label, have a number with a unit or a word from above, as runs do."""
    words = table.select_dtypes(exclude="number")
    last = {name: words[name].iloc[-k:].dropna().map(str) for name in words.columns}
    if any(column.map(plain_name).isin(LABELS).any() for column in last.values()):
        return False
    return any(
        column.isin(words[name].iloc[:-k].map(str)).any() or column.map(as_number).notna().any()
        for name, column in last.items()
    )


def _kinds(above: pd.DataFrame, rows: np.ndarray) -> list[str]:
    """Return the statistic of the columns above that each row holds; '' for one that holds none."""
    varied = (above.max() > above.min()).to_numpy()
    with np.errstate(all="ignore"):
        known = {kind: above.agg(name).to_numpy() for kind, name in {**STATISTICS, **BESIDE}.items()}
    near = {kind: SUMS if kind == "sums" else NEAR for kind in known}
    return [next((kind for kind, of in known.items() if _is(row, of, varied, near[kind])), "") for row in rows]


def _is(row: np.ndarray, statistic: np.ndarray, varied: np.ndarray, near: float) -> bool:
    """Tell whether the numbers of a row equal the statistic in all columns that vary, at least two."""
    there = np.isfinite(row) & varied
    same = np.isclose(row[there], statistic[there], rtol=near, atol=0)
    return bool(varied.sum() > 1 and there.any() and same.all())
