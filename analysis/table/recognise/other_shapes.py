"""Tables of another shape: a column for each value of N, D or C, or a row for each metric or quantity of a run."""

from __future__ import annotations

import re
from collections.abc import Callable

import pandas as pd

from analysis.table.recognise.statuses import plain_name
from analysis.table.recognise.written_numbers import as_number
from analysis.wording import in_quotes, listed, ticked

METRICS = ("metric", "metrics", "metric_name", "measure", "variable", "quantity", "key", "tag")
"""Columns that name what is measured in a row, in lower case."""
VALUES = ("value", "values", "metric_value", "score", "result", "measurement")
"""Columns of the measured values beside them."""
BEFORE_VALUE = re.compile(r"(?:^|[@=_ ])(?:[A-Za-z](?=\d))?")
"""The end of a name before a value: D=1B, loss@1B tokens, loss_D1B; 1B alone has no name."""
MOST_WORDS = 50
"""Number of values of a text column among which the names of columns are sought."""
FEWEST = 3
"""Minimum number of columns named by values of one size."""
LEAST = 1e3
"""Smallest such value: loss_1 and loss_2 are of seeds."""


def chart_curves(table: pd.DataFrame) -> str:
    """Return what to do with the file of a chart of W&B, which has columns for each run; "" elsewhere."""
    bounds = [name for name in map(str, table.columns) if name.endswith(("__MIN", "__MAX"))]
    if not bounds or bounds[0][:-5] not in table.columns:
        return ""
    return (
        f"{bounds[0][:-5]} is the curve of a run in a chart of W&B: export the table of runs, with their sizes, instead"
    )


def named_by_values(table: pd.DataFrame) -> list[str]:
    """Return the columns named alike but for values of a size, such as 1B, D=1B or loss@1B; none where they are few."""
    alike: dict[str, list[str]] = {}
    for name in map(str, table.columns):
        ends = (match.end() for match in BEFORE_VALUE.finditer(name))
        end = next((end for end in ends if as_number(name[end:]) >= LEAST), None)
        if end is not None:
            alike.setdefault(name[:end], []).append(name)
    values = max(alike.values(), key=len, default=[])
    return values if len(values) >= FEWEST else []


def one_row_each(values: list[str], column: str) -> str:
    """Return what to do where columns are values of a missing size."""
    return (
        f"{listed(values, 3)} may be values of {column}: make one row for each of them (melt of pandas, with "
        f'var_name="{column}" and value_name="loss")'
    )


def named_in_rows(table: pd.DataFrame, column: str, ours: Callable[[str], str]) -> str:
    """Return what to do where our columns are values of a text column; "" elsewhere. ours: our name of a value."""
    for name in (name for name in table.columns if not pd.api.types.is_numeric_dtype(table[name])):
        words = table[name].dropna().map(str)
        found = {ours(word) for word in words.unique()[:MOST_WORDS]}
        if column in found and len(found - {""}) > 1:
            if words.is_unique:
                return f"the rows of {name} are its columns: turn the table round (transpose of pandas)"
            return f"the rows of {name} are its columns: make one column for each of them (pivot of pandas)"
    return ""


def one_metric(table: pd.DataFrame, column: str, known: re.Pattern[str]) -> str:
    """Return the options that choose the rows of one metric, where rows name it; '' elsewhere. known: its names."""
    names = {plain_name(name): str(name) for name in table.columns}
    metric, value = (next((names[word] for word in words if word in names), "") for words in (METRICS, VALUES))
    kinds = table[metric].dropna().map(str).unique() if metric and value else ()
    named = {kind: plain_name(kind) for kind in kinds}
    found = sorted((kind for kind in kinds if known.search(named[kind])), key=lambda kind: "train" in named[kind])
    if not found:
        return ""
    condition = in_quotes(f"{ticked(metric)} == '{found[0]}'")
    return f"take --columns {column}={value} --where {condition}"
