"""Sweeps of one variable inside a table: runs that differ in nothing but N, D or the size of the data set."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from analysis.cells import IDENTITY
from analysis.table import RECIPE

FOLLOWS = {
    "N": ("width", "depth", "expansion", "C", "C_counted", "budget"),
    "D": ("C", "C_counted", "budget", "D_unique", "run_D"),
    "D_unique": ("C", "C_counted", "budget", "D", "run_D"),
}
"""What follows from each variable, or goes with it, and so may change along it."""

MIN_VALUES = 4
"""Different values that make a sweep."""


@dataclass(frozen=True)
class Sweep:
    """Rows along x; held: the value of the other variable (N for a sweep in D), by its column."""

    x: str
    held: str
    value: float
    rows: pd.DataFrame

    @property
    def words(self) -> str:
        """Say what is held, for a title."""
        if self.held == "N" and "width" in self.rows.columns and self.rows["width"].nunique() == 1:
            return f"width {self.rows['width'].iloc[0]:.0f} (N = {self.value:,.0f})"
        return f"{self.held} = {self.value:,.0f}"


def one_variable(rows: pd.DataFrame, x: str) -> list[Sweep]:
    """Find the sweeps in x (N, D or D_unique) of selected rows, in order of what is held."""
    if x not in rows.columns or rows[x].isna().any():
        return []
    held = "D" if x == "N" else "N"
    if held not in rows.columns:
        return []
    fixed = [name for name in (*IDENTITY, *RECIPE) if name in rows.columns and name != x and name not in FOLLOWS[x]]
    keys = list(dict.fromkeys([*fixed, held]))
    if x == "D" and "D_unique" in rows.columns and _ambiguous(rows, [*keys, "D"], "D_unique"):
        keys.append("D_unique")
    found = []
    for _, group in rows.groupby(keys, dropna=False, sort=False):
        if group[x].nunique() >= MIN_VALUES:
            found.append(Sweep(x, held, float(group[held].iloc[0]), group.sort_values(x)))
    return sorted(found, key=lambda sweep: sweep.value)


def _ambiguous(rows: pd.DataFrame, keys: list[str], name: str) -> bool:
    return bool((rows.groupby(keys, dropna=False)[name].nunique() > 1).any())
