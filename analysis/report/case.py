"""One task of a table: its rows, its response and its kind of sweep, which determines its figures."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.errors import attempt
from analysis.estimates.conventions import Exponents, exponents, with_paper_columns
from analysis.figures.paper.ablation import variants_of
from analysis.report.groups import response_of
from analysis.report.law_results import USUAL, LawOptions
from analysis.table.select import RECIPE, is_usable, select_rows, tasks_of

MOST_ROWS = 20_000
"""Maximum number of rows for the figures of a kind of sweep, which show single runs."""


@dataclass(frozen=True)
class Case:
    """One task of a table. source: where the table came from; task: None where it has no such column."""

    table: pd.DataFrame
    source: Path
    task: str | None
    law_options: LawOptions = USUAL

    @cached_property
    def rows(self) -> pd.DataFrame | None:
        """Return the selected final rows, with the milestones of constant-rate runs; None where there are none."""
        for rows in ("all", "final"):
            found, _ = attempt(
                partial(select_rows, self.table, y=response_of(self.table), task=self.task, rows=rows, pool=RECIPE)
            )
            if found is not None and len(found[0]) <= MOST_ROWS:
                return with_paper_columns(found[0])
        return None

    @cached_property
    def ends(self) -> pd.DataFrame | None:
        """Return the rows at the end of their run."""
        rows = self.rows
        return rows[rows["final"].astype(bool)] if rows is not None and "final" in rows.columns else rows

    @cached_property
    def y(self) -> str:
        """Return the response: the error where it is usable, else the loss."""
        return "error" if self.rows is not None and is_usable(self.rows, "error") else "loss"

    @cached_property
    def exponents(self) -> list[Exponents]:
        """Return the frontier and its law under each convention, for a sweep of models, data and lengths."""
        if self.rows is None or not self.scaling:
            return []
        return exponents(self.rows, self.y, resamples=self.law_options.resamples, level=self.law_options.level)

    @cached_property
    def scaling(self) -> bool:
        """Tell whether it is a sweep of models, data and lengths."""
        return self.rows is not None and is_scaling(self.rows)


def cases_of(table: pd.DataFrame, source: Path, law_options: LawOptions = USUAL) -> list[Case]:
    """Return a case for each task of the table, the training's own first."""
    tasks: list[str | None] = [*tasks_of(table)] or [None]
    return [Case(table, source, task, law_options) for task in tasks]


def has_all(rows: pd.DataFrame, *columns: str) -> bool:
    """Tell whether the rows have these columns, without gaps."""
    return set(columns) <= set(rows.columns) and not rows[list(columns)].isna().any(axis=None)


def crops_of(rows: pd.DataFrame) -> pd.Series:
    """Return the number of random image crops over which each row's predictions are averaged; NaN without crops."""
    recipe = rows.get("stage_recipe", pd.Series(None, index=rows.index, dtype=object))
    return recipe.astype(str).str.extract(r"\bcrops=(\d+)", expand=False).astype(float)


def is_scaling(rows: pd.DataFrame) -> bool:
    """Tell whether runs are of several models, data sets and lengths, but of one family and one recipe."""
    if not has_all(rows, "N", "C", "D", "D_unique", "width", "depth", "epochs"):
        return False
    fixed = ("family", "data", "batch", "augment", "optim", "label_smoothing")
    one = all(rows[name].nunique() <= 1 for name in fixed if name in rows.columns)
    lengths = epoch_groups(rows).groupby([rows["N"], rows["D_unique"]]).nunique().max()
    return one and min(rows["N"].nunique(), rows["D_unique"].nunique(), lengths) >= 2


def epoch_groups(rows: pd.DataFrame) -> pd.Series:
    """Group nominally equal numbers of epochs: rounding to whole batches turns 1.25 epochs into 1.23 or 1.246.

    Each group is named by its epochs on the largest data set, where rounding matters least; NaN without epochs.
    """
    epochs = rows["epochs"].astype(float)
    size = rows.get("D_unique", pd.Series(1.0, index=rows.index)).astype(float)
    values = np.sort(epochs.dropna().unique())
    logs = np.log(values)
    group = dict(zip(values, np.cumsum(np.diff(logs, prepend=logs[:1]) > 0.1), strict=True))
    number = epochs.map(group)
    order = pd.DataFrame({"number": number, "size": size, "epochs": epochs}).sort_values(["size", "epochs"])
    meant = order.drop_duplicates("number", keep="last").set_index("number")["epochs"].map(rounded, na_action="ignore")
    return number.map(meant)


def rounded(epochs: float) -> float:
    """Round epochs to the requested number: rounding to whole batches turns 100 into 99.97, and 1.25 into 1.246."""
    return float(f"{epochs:.3g}") if epochs < 10 else float(round(epochs))


def is_ablation(rows: pd.DataFrame) -> bool:
    """Tell whether rows are an ablation: three or more keys at equal compute, each changed from the same base."""
    if not {"overrides", "C"} <= set(rows.columns):
        return False
    names = set(variants_of(rows["overrides"]))
    keys = {word.split("=")[0] for name in names for word in name.split(", ") if "=" in word}
    ends = rows[rows["final"].astype(bool)] if "final" in rows.columns else rows
    equal = ends["C"].max() <= 1.25 * ends["C"].min()
    return "base" in names and len(names) >= 4 and len(keys) >= 3 and bool(equal)
