"""Slices of a table along one variable: runs that differ only in N, D or the size of the data set."""

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
    "C": ("C_counted", "budget"),
}
"""Columns that vary together with each variable."""

MIN_VALUES = 4
"""Minimum number of values of the variable in a slice."""


@dataclass(frozen=True)
class Slice:
    """Rows along x at one value of the other variable.

    held: the column held fixed (N along D; empty in a table without it); value: its value. examples: the size of the
    data set if slices differ in it, else None.
    """

    x: str
    held: str
    value: float
    rows: pd.DataFrame
    examples: float | None = None

    @property
    def words(self) -> str:
        """Return a title that names what is held fixed."""
        held = f"{self.held} = {count(self.value)}" if self.held else ""
        if self.held == "N" and "width" in self.rows.columns and self.rows["width"].nunique() == 1:
            held = f"width {self.rows['width'].iloc[0]:.0f} ({held})"
        return ", ".join(filter(None, (held, f"{count(self.examples)} examples" if self.examples else "")))

    @property
    def condition(self) -> str:
        """Return the condition that selects these rows from those of their group."""
        held = f"{self.held} == {self.value:.15g}" if self.held else ""
        return " and ".join(filter(None, (held, f"D_unique == {self.examples:.15g}" if self.examples else "")))


def find_slices(rows: pd.DataFrame, x: str) -> list[Slice]:
    """Find the slices along x (N, D, D_unique or C) of selected rows, sorted by the value held fixed.

    A table without the other size is one slice.
    """
    if x not in rows.columns or rows[x].isna().any():
        return []
    held = "D" if x == "N" else "N"
    held = held if held in rows.columns else ""
    keys, apart = _fixed(rows, x, held)
    found = []
    for _, group in rows.groupby(keys, dropna=False, sort=False) if keys else [("", rows)]:
        if group[x].nunique() >= MIN_VALUES:
            examples = float(group["D_unique"].iloc[0]) if apart else None
            value = float(group[held].iloc[0]) if held else 0.0
            found.append(Slice(x, held, value, group.sort_values(x), examples))
    return sorted(found, key=lambda one: (one.value, one.examples or 0.0))


def _fixed(rows: pd.DataFrame, x: str, held: str) -> tuple[list[str], bool]:
    """Return the columns fixed in a slice, and whether slices differ in the size of their data set."""
    named = [name for name in (*IDENTITY, *RECIPE) if name in rows.columns and name != x and name not in FOLLOWS[x]]
    keys = list(dict.fromkeys([*named, held] if held else named))
    along = [*keys, "D"] if x == "D" else ["D"]
    if x == "D_unique" or not {"D", "D_unique"} <= set(rows.columns):
        return keys, False
    apart = bool((rows.groupby(along, dropna=False)["D_unique"].nunique() > 1).any())
    return (list(dict.fromkeys([*keys, "D_unique"])) if apart else keys), apart
