"""Find the rows of an external table that belong to one run; they share its noise and are resampled together."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd

from analysis.errors import UserError
from analysis.table.remarks import TAKEN, with_remarks
from analysis.table.statuses import plain_name
from analysis.wording import counted, listed, one_word

NAMES = ("run", "run_name", "run_id", "runid", "name", "id", "uuid", "trial", "trial_id", "trial_name", "job", "job_id")
"""Columns that name a run by their own name, in any case; also whatever begins or ends with the word run."""
SIZES = ("N", "D", "C")
STEP = re.compile(r"(trainer_|train_|training_|progress_)?((global_)?step|iteration|iter|epoch)")
"""Columns of a point of a learning curve, which a table of whole runs seldom has."""
PROGRESS = ("tokens", "epochs")
NONE = "none"
"""The value of run_column for a table in which each row is a run."""


def with_runs(table: pd.DataFrame, run_column: str | None) -> pd.DataFrame:
    """Return the table with a column run_id that identifies the run of each row.

    run_column: the column to use, or "none" if each row is a run. Without it, an existing run_id is kept; else a column
    with a run-like name is used if the rows of each value look like milestones (one N, different D or steps), with a
    remark. Another text column with such rows is only suggested in a remark. Raises `UserError`.
    """
    if run_column == NONE:
        return table.assign(run_id=np.arange(len(table)))
    if run_column is not None:
        if run_column not in table.columns:
            raise UserError(
                f"found no column {run_column!r} to name the runs; the table has {listed(table.columns)}; "
                f"name one of them, or {NONE} where each row is a run of its own"
            )
        return table.assign(run_id=_names(table[run_column]))
    if "run_id" in table.columns or table.empty:
        return table
    sizes = table.attrs.get(TAKEN, {}).values()
    candidates = [name for name in table.columns if _may_name(table, name) and _are_milestones(table, name)]
    candidates = [name for name in candidates if name not in sizes]
    named = [name for name in candidates if is_run_name(name)]
    if named:
        return with_remarks(table.assign(run_id=_names(table[named[0]])), _taken(table, named[0]))
    steps = "N" in table.columns and _step_within(table, "N")
    alone = any(is_run_name(name) and table[name].is_unique for name in table.columns)  # each row has a name of its own
    curves = ["N"] if steps and not alone and _are_milestones(table, "N") else []  # a curve of each size, unnamed
    return with_remarks(table, *(_asked(name) for name in (candidates or curves)[:1]))


def _taken(table: pd.DataFrame, name: str) -> str:
    runs = table[name].nunique(dropna=False)
    return (
        f"{counted(len(table), 'row')} are milestones of {counted(runs, 'run')}, by the column {name}: drawn together "
        f"for intervals (--run-column {NONE} where each row is a run of its own). The loss before the end of a run is "
        "that of a run of that length only at a constant rate"
    )


def _asked(name: str) -> str:
    what = "rising D" if name == "N" else "one N and rising D"
    return (
        f"rows that share {name} have {what}: where they are milestones of one run, intervals are too "
        f"narrow; then say --run-column {one_word(name)}"
    )


def _names(column: pd.Series) -> np.ndarray:
    """Return the values as strings; a row without one becomes a run of its own."""
    words = column.astype(object).map(str).to_numpy(object)
    lone = column.isna().to_numpy()
    words[lone] = [f"row {i}" for i in np.flatnonzero(lone)]
    return words


def is_run_name(name: object) -> bool:
    """Tell whether a column's name is usual for runs."""
    word = plain_name(name)
    return word in NAMES or word.startswith("run_") or word.endswith("_run")


def _may_name(table: pd.DataFrame, name: str) -> bool:
    """Tell whether a column could name runs: text (or numbers with a run-like name), with fewer values than rows."""
    if name in (*SIZES, *PROGRESS, "loss", "error", "seed"):
        return False
    column = table[name]
    if pd.api.types.is_bool_dtype(column) or (pd.api.types.is_numeric_dtype(column) and not is_run_name(name)):
        return False
    return 1 < column.nunique(dropna=False) < len(table)


def _are_milestones(table: pd.DataFrame, name: str) -> bool:
    """Tell whether rows with the same value share N and differ in D (or another measure of training progress)."""
    groups = table.groupby(name, dropna=False, sort=False)
    if "N" in table.columns and name != "N" and (groups["N"].nunique() > 1).any():
        return False
    sizes = groups.size()
    many = sizes > 1
    progress = [column for column in table.columns if column != name and _is_progress(column)]
    return bool(many.mean() >= 0.5 and any((groups[column].nunique() == sizes)[many].all() for column in progress))


def _is_progress(name: str) -> bool:
    return name in (*SIZES, *PROGRESS) or bool(STEP.fullmatch(plain_name(name)))


def _step_within(table: pd.DataFrame, name: str) -> str:
    """Return the column of a step that differs in all rows with the same value of a column; '' without one."""
    steps = [column for column in table.columns if STEP.fullmatch(plain_name(column))]
    steps = [column for column in steps if pd.api.types.is_numeric_dtype(table[column])]
    groups = table.groupby(name, dropna=False, sort=False)
    return next((step for step in steps if (groups[step].nunique() == groups.size()).all()), "")


def without_early_rows(table: pd.DataFrame, left_out: list[str], along: Sequence[str] = ()) -> pd.DataFrame:
    """Keep the last row of each run if rows of a run differ in their step, but in none of N, D, C and `along`.

    These are then of the whole run, and only its last loss is the loss at them. left_out gets a phrase on the others.
    """
    step = "" if "run_id" not in table.columns or "final" in table.columns else _step_within(table, "run_id")
    runs = table.groupby("run_id", sort=False) if step else None
    sizes = [name for name in (*SIZES, *along) if name in table.columns]
    if runs is None or (runs[sizes].nunique() > 1).any(axis=None):
        return table
    last = table.index.isin(runs[step].idxmax())
    if not last.all():
        left_out.append(f"{counted(int((~last).sum()), 'row')} before the end of a run, whose D is that of all of it")
    return table[last]
