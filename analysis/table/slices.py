"""Sweeps of one variable inside a table: runs that differ in nothing but N, D or the size of the data set."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from analysis.numbers import count
from analysis.table.cells import IDENTITY
from analysis.table.select import RECIPE

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
    """Rows along x; held: the value of the other variable (N for a sweep in D), by its column.

    examples: the size of the data set where it tells sweeps apart, else None.
    """

    x: str
    held: str
    value: float
    rows: pd.DataFrame
    examples: float | None = None

    @property
    def words(self) -> str:
        """Say what is held, for a title."""
        said = f"{self.held} = {count(self.value)}"
        if self.held == "N" and "width" in self.rows.columns and self.rows["width"].nunique() == 1:
            said = f"width {self.rows['width'].iloc[0]:.0f} ({said})"
        return said + (f", {count(self.examples)} examples" if self.examples else "")

    @property
    def condition(self) -> str:
        """Return what chooses these rows among those of their group."""
        said = f"{self.held} == {self.value:.15g}"
        return said + (f" and D_unique == {self.examples:.15g}" if self.examples else "")


def one_variable(rows: pd.DataFrame, x: str) -> list[Sweep]:
    """Find the sweeps in x (N, D or D_unique) of selected rows, in order of what is held."""
    if x not in rows.columns or rows[x].isna().any():
        return []
    held = "D" if x == "N" else "N"
    if held not in rows.columns:
        return []
    fixed = [name for name in (*IDENTITY, *RECIPE) if name in rows.columns and name != x and name not in FOLLOWS[x]]
    keys = list(dict.fromkeys([*fixed, held]))
    along = [*keys, "D"] if x == "D" else ["D"]
    apart = x != "D_unique" and {"D", "D_unique"} <= set(rows.columns) and _ambiguous(rows, along, "D_unique")
    if apart:
        keys = list(dict.fromkeys([*keys, "D_unique"]))
    found = []
    for _, group in rows.groupby(keys, dropna=False, sort=False):
        if group[x].nunique() >= MIN_VALUES:
            examples = float(group["D_unique"].iloc[0]) if apart else None
            found.append(Sweep(x, held, float(group[held].iloc[0]), group.sort_values(x), examples))
    return sorted(found, key=lambda sweep: (sweep.value, sweep.examples or 0.0))


def _ambiguous(rows: pd.DataFrame, keys: list[str], name: str) -> bool:
    return bool((rows.groupby(keys, dropna=False)[name].nunique() > 1).any())
