"""Groups of runs analysed together: same family, data set and recipe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from analysis.errors import Refusal, UserError, attempt
from analysis.numbers import setting
from analysis.table.budgets import budgets
from analysis.table.mixtures import with_mixtures
from analysis.table.remarks import POOLED
from analysis.table.select import RECIPE, has_milestones, origins, recipe_differences, select_rows, tasks_of
from analysis.table.slices import Slice, find_slices
from analysis.wording import RECIPE_WORDS, counted, listed

MOST_GROUPS = 6
"""Maximum number of groups for which laws are fitted; a sweep with more compares recipes."""

MIN_SETTINGS = 4
"""Minimum number of settings (sizes of model, training, data set) of a group if there are several groups."""

FEW_RUNS = 5
"""Minimum number of runs for resampling: the milestones of two runs are two observations, not twenty."""


@dataclass(frozen=True)
class Subset:
    """A subset of a table's rows: a condition on its columns, the task if there are several, and pooled columns."""

    where: str = ""
    task: str | None = None
    pool: tuple[str, ...] = ()

    def options(self, rows: pd.DataFrame, condition: str = "") -> str:
        """Return the command-line options that select the same rows, or those that satisfy a further condition."""
        where = " and ".join(text for text in (condition, self.where) if text)
        words = [f' --where "{where}"' if where else "", f" --task {self.task}" if self.task else ""]
        words += [f' --pool "{",".join(self.pool)}"' if self.pool else ""]
        return "".join(words) + (" --rows all" if has_milestones(rows) else "")


@dataclass(frozen=True)
class Group:
    """One group of runs.

    rows: the ends of runs. milestones: these and the milestones of constant-rate runs, if there are any. inside: the
    training curves inside decaying schedules, to which no law is fitted. slices: by the variable along them.
    """

    name: str
    subset: Subset
    rows: pd.DataFrame
    milestones: pd.DataFrame | None
    inside: pd.DataFrame | None
    slices: dict[str, list[Slice]]
    left_out: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def title(self) -> str:
        """Return the group's name, with its task if the table has several."""
        return f"{self.subset.task}, {self.name}" if self.subset.task else self.name

    @property
    def y(self) -> str:
        """Return the response: the loss, or the error in a table without one."""
        return response_of(self.rows)

    @property
    def used(self) -> pd.DataFrame:
        """Return the rows to which laws are fitted."""
        return self.rows if self.milestones is None else self.milestones

    @property
    def varies_N_and_D(self) -> bool:
        """Tell whether both N and D take several values."""
        return varies_N_and_D(self.used)

    @property
    def is_isoflop(self) -> bool:
        """Tell whether sizes were run at equal compute, by the column budget or by clusters of C."""
        rows = self.rows
        if not {"N", "C"} <= set(rows.columns) or ("budget" in rows.columns and rows["budget"].isna().any()):
            return False
        budget, _ = attempt(partial(budgets, rows))
        return budget is not None and bool((rows["N"].groupby(budget).nunique() >= 3).sum() >= 2)


def response_of(table: pd.DataFrame) -> str:
    """Return the response of a table: the loss, or the error if it has no loss."""
    has_loss = "loss" in table.columns and table["loss"].notna().any()
    return "loss" if has_loss or "error" not in table.columns else "error"


def split(table: pd.DataFrame, task: str | None = None) -> tuple[list[Group], list[str]]:
    """Split a table (or one task of it) into groups that are large enough for laws.

    Returns the groups and, in sentences, what is not analysed.
    """
    named = task if len(tasks_of(table)) > 1 else None
    try:
        rows, left_out = select_rows(table, y=response_of(table), pool=RECIPE, task=named)
    except (UserError, Refusal) as refusal:
        return [], [str(refusal)]
    own = table[table["task"].astype(str) == named] if named else table
    pool = tuple(table.attrs.get(POOLED, ()))
    varied = [name for name in ("family", "data", *RECIPE) if name in rows.columns and rows[name].nunique() > 1]
    kinds, refused = _large(_kinds(rows, pool), varied)
    return [_group(own, chosen, name, Subset(where, named, pool), left_out) for name, where, chosen in kinds], refused


def has_few_runs(rows: pd.DataFrame) -> bool:
    """Tell whether the rows are milestones of too few runs to resample."""
    return "run_id" in rows.columns and has_milestones(rows) and origins(rows).nunique() < FEW_RUNS


def varies_N_and_D(rows: pd.DataFrame) -> bool:
    """Tell whether both N and D take several values."""
    return {"N", "D"} <= set(rows.columns) and min(rows["N"].nunique(), rows["D"].nunique()) > 1


Kind = tuple[str, str, pd.DataFrame]
"""The name of a group, the condition that selects it, its rows."""


def _kinds(rows: pd.DataFrame, pool: Sequence[str]) -> list[Kind]:
    """Split rows by family, data and the recipe columns that differ and are not pooled."""
    names = [name for name in ("family", "data") if name in rows.columns and rows[name].nunique() > 1]
    names = [name for name in (*names, *recipe_differences(rows)) if name not in pool]
    if not names:
        one = [str(rows[name].iloc[0]) for name in ("family", "data") if name in rows.columns]
        return [(" on ".join(one), "", rows)]
    found = []
    for values, group in rows.groupby(names, dropna=False, sort=False):
        words, conditions = zip(*map(_named, names, values), strict=True)
        own = with_mixtures(group.copy(deep=False), (), response_of(rows))
        found.append((", ".join(words), " and ".join(conditions), own))
    return found


def _named(name: str, value: Any) -> tuple[str, str]:
    """Return the words for a value of a column, and the condition that selects it; value: NaN where there is none."""
    known = RECIPE_WORDS.get(name, name)
    if pd.isna(value):
        return f"no {known}", f"{name} != {name}"
    literal = repr(value.item() if isinstance(value, np.generic) else value)
    return str(value) if name in ("family", "data") else f"{known} {setting(value)}", f"{name} == {literal}"


def _large(kinds: list[Kind], varied: Sequence[str]) -> tuple[list[Kind], list[str]]:
    """Keep the kinds of runs that are large enough for laws; none if there are too many kinds."""
    large, refused = kinds, []
    if len(kinds) > 1:
        large = [one for one in kinds if _settings(one[2]) >= MIN_SETTINGS]
    if len(large) < len(kinds):
        n, words = len(kinds) - len(large), listed([RECIPE_WORDS.get(name, name) for name in varied])
        small = f"{f'{n} of {len(kinds)}' if large else n} kinds of runs (they differ in {words})"
        each, no_law = f"fewer than {MIN_SETTINGS} sizes of model or data", "and no law is fitted to"
        refused.append(
            f"{small} has {each}: it compares recipes, {no_law} it"
            if n == 1
            else f"{small} have {each} each: they compare recipes, {no_law} them"
        )
    if len(large) <= MOST_GROUPS:
        return large, refused
    return [], [
        f"the runs are of {len(large)} kinds (they differ in {listed(varied)}), too many to fit each apart: "
        "no laws here; choose rows with --where, or say what may differ with --pool"
    ]


def _settings(rows: pd.DataFrame) -> int:
    """Count the distinct settings (sizes of model, training and data set) of rows."""
    names = [name for name in ("N", "D", "D_unique") if name in rows.columns]
    return len(rows[names].drop_duplicates()) if names else len(rows)


def _group(table: pd.DataFrame, rows: pd.DataFrame, name: str, subset: Subset, left_out: list[str]) -> Group:
    own = table[origins(table).isin(origins(rows))] if "run_id" in table.columns else table
    milestones, inside, notes = _milestones(own, rows)
    if milestones is not None:
        left_out = [text for text in left_out if "before the end" not in text]
    slices = _slices(rows, rows if milestones is None else milestones)
    return Group(name, subset, rows, milestones, inside, slices, tuple(left_out), notes)


def _milestones(
    own: pd.DataFrame, rows: pd.DataFrame
) -> tuple[pd.DataFrame | None, pd.DataFrame | None, tuple[str, ...]]:
    """Return rows with constant-rate milestones, or the training curves inside decaying schedules, and notes."""
    if "final" not in own.columns or "schedule" not in own.columns or len(own) == len(rows):
        return None, None, ()
    y = response_of(own)
    every, _ = attempt(lambda: select_rows(own, y=y, rows="all", pool=RECIPE)[0])
    if every is not None and len(every) > len(rows):
        return every, None, ()
    inside = own[own[y].notna()] if y in own.columns else own
    note = f"{counted(len(inside) - len(rows), 'milestone')} inside decaying schedules: drawn faint, not fitted"
    return None, inside, (note,)


def _slices(rows: pd.DataFrame, used: pd.DataFrame) -> dict[str, list[Slice]]:
    """Return the slices along each variable; learning curves of few runs only if N and D do not both vary."""
    found = {"D": find_slices(used, "D"), "D_unique": find_slices(rows, "D_unique"), "N": find_slices(used, "N")}
    if varies_N_and_D(used):
        found = {x: [one for one in slices if not has_few_runs(one.rows)] for x, slices in found.items()}
    elif not {"N", "D"} & set(used.columns):
        found |= {"C": find_slices(used, "C")}
    return {**found, "D_unique": []} if found["D"] else found
