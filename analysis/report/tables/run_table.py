"""The table of all runs: its columns, order and units, and the path of each run."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.numbers import kind_of
from analysis.report.charts.axes import numbers
from analysis.report.charts.seeds import run_names
from analysis.table.results import find_runs
from analysis.table.select import last_rows

SHOWN = (
    *("run_id", "status", "family", "width", "depth", "N", "D", "C", "epochs", "seed", "lr"),
    *("loss", "error", "seconds"),
)
"""Columns listed if the table has them; the others are shown for a selected run."""

UNITS = {
    "N": "weights",
    "D": "examples",
    "C": "FLOPs",
    "lr": "rate",
    "seconds": "s",
    "error": "1 − accuracy",
    "cross_entropy": "nats",
    "squared_error": "Var y",
}
"""Units by column, and those of a loss by its metric."""

MOST_ROWS = 200
"""Number of rows on the page without its script, which lists all."""

MOST_WORDS = 2_000_000
"""Maximum number of characters of a text column on the page; a longer one is in table.parquet alone."""

LEFT_OUT = ("run_id", "final", "run_D", "run_C", "run_C_counted", "run_epochs", "forecast_seconds")
"""Columns that are redundant at the end of a run."""


@dataclass(frozen=True)
class RunTable:
    """One row per run, at its end. folder: path of the runs' files relative to the page; None without files."""

    ends: pd.DataFrame
    folder: str | None

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """Return the name of each run."""
        return run_names(self.ends)

    @cached_property
    def columns(self) -> list[str]:
        """Return the listed columns; of an external table the first dozen, without those that N, D or loss are."""
        found = [name for name in SHOWN if name in self.ends.columns and self.ends[name].notna().any()]
        if len(found) > 2:
            return found
        again = {name for name in self.ends.columns if any(self._are_equal(name, one) for one in found if one != name)}
        return [name for name in self.ends.columns if name not in again or name in found][:12]

    def _are_equal(self, one: str, other: str) -> bool:
        return self.is_number(one) and self.is_number(other) and bool((self.ends[one] == self.ends[other]).all())

    def is_number(self, column: str) -> bool:
        """Tell whether a column is numeric, so right-aligned."""
        return pd.api.types.is_any_real_numeric_dtype(self.ends[column])

    def unit(self, column: str) -> str:
        """Return the unit of a column; empty if it has none."""
        if column == "loss" and "metric" in self.ends.columns and self.ends["metric"].notna().any():
            return UNITS.get(str(self.ends["metric"].dropna().iloc[0]), "")
        return UNITS.get(column, "")

    @cached_property
    def rows(self) -> list[list[str]]:
        """Return the first rows, formatted for display."""
        chosen = self.ends[self.columns].head(MOST_ROWS)
        return [[_written(str(name), value) for name, value in row.items()] for row in chosen.to_dict("records")]

    def has_files(self, i: int) -> bool:
        """Tell whether the run of a row has files: all but those that have not been run."""
        return "status" not in self.ends.columns or self.ends["status"].iloc[i] != "missing"

    @cached_property
    def more(self) -> int:
        """Return the number of rows not among them."""
        return max(0, len(self.ends) - MOST_ROWS)

    def to_dict(self) -> dict[str, Any]:
        """Return the names and the columns that distinguish runs as plain data."""
        varied = [
            name for name in self.ends.columns if name not in LEFT_OUT and self.ends[name].nunique(dropna=False) > 1
        ]
        kept = [name for name in dict.fromkeys([*self.columns, *varied]) if name != "run_id"]
        columns = {name: values for name in kept if (values := self._values(name)) is not None}
        return {"ids": self.ids, "columns": columns, "folder": self.folder}

    def _values(self, name: str) -> list[Any] | None:
        if self.is_number(name):
            return numbers(self.ends[name].to_numpy(float))
        words = self.ends[name].astype(object).where(self.ends[name].notna(), "").astype(str)
        return None if words.str.len().sum() > MOST_WORDS else words.tolist()


def _written(column: str, value: Any) -> str:
    if isinstance(value, float | int | np.number) and not isinstance(value, bool):
        return kind_of(column)(float(value))
    return "" if pd.isna(value) else str(value)


def run_table(table: pd.DataFrame, source: Path, page: Path) -> RunTable:
    """Return the runs of a table. page: the folder of the page, for relative links to the runs' files."""
    ours = "trained" not in table.columns  # runs trained elsewhere have no files
    runs = find_runs(source) if source.is_dir() and ours else None
    return RunTable(last_rows(table), os.path.relpath(runs, page.resolve()) if runs else None)
