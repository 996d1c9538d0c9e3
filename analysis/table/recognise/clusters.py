"""Find the rows of an external table that belong to one run; they share its noise and are resampled together."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd

from analysis.errors import UserError
from analysis.table.recognise.statuses import plain_name
from analysis.table.remarks import TAKEN, with_remarks
from analysis.wording import counted, listed, one_word

NAMES = ("run", "run_name", "run_id", "runid", "name", "id", "uuid", "trial", "trial_id", "trial_name", "job", "job_id")
"""Usual names of columns that name a run, in any case; names that begin or end with the word run count too."""
SIZES = ("N", "D", "C")
STEP = re.compile(r"(trainer_|train_|training_|progress_)?((global_)?step|iteration|iter|epoch)")
"""Names of columns with the training progress of a point, which a table of whole runs seldom has."""
STEP_IN_NAME = re.compile(r"(?<![a-z])(step|iter|ckpt|checkpoint|epoch)[-_=: ]*\d", re.IGNORECASE)
"""A point of a learning curve in a text: gpt-70m/step1000, checkpoint-500."""
PROGRESS = ("tokens", "epochs")
NONE = "none"
"""The value of run_column for a table in which each row is a run."""


def with_runs(table: pd.DataFrame, run_column: str | None) -> pd.DataFrame:
    """Return the table with a column run_id that identifies the run of each row.

    run_column: the column to use, or "none" if each row is a run. Without it, an existing run_id is kept; else a column
    with a run-like name is used if the rows of each value look like milestones (one N, different D or steps), with a
    remark. Another text column with such rows is only suggested in a remark. Runs of one name and several seeds are
    several runs. Raises `UserError`.
    """
    if run_column == NONE:
        return table.assign(run_id=np.arange(len(table)))
    if run_column is not None:
        if run_column not in table.columns:
            raise UserError(
                f"found no column {run_column!r} to name the runs; the table has {listed(table.columns)}; "
                f"name one of them, or {NONE} where each row is a run of its own"
            )
        return table.assign(run_id=_names(table, run_column))
    if "run_id" in table.columns or table.empty:
        return table
    sizes = table.attrs.get(TAKEN, {}).values()
    candidates = [name for name in table.columns if _may_name(table, name) and _are_milestones(table, name)]
    candidates = [name for name in candidates if not any(f"{size} ".startswith(f"{name} ") for size in sizes)]
    named = [name for name in candidates if is_run_name(name)]
    if named:
        runs = _names(table, named[0])
        return with_remarks(table.assign(run_id=runs), _taken(runs, _keys(table, named[0])))
    curves = ["N"] if _is_curve_of_each_size(table) else []
    return with_remarks(table, *(_asked(table, name) for name in (candidates or curves)[:1]))


def _is_curve_of_each_size(table: pd.DataFrame) -> bool:
    """Tell whether the rows of one N are points of a learning curve, by a column of steps or names with a step."""
    if "N" not in table.columns:
        return False
    texts = [name for name in table.columns if not pd.api.types.is_numeric_dtype(table[name])]
    steps = [name for name in texts if all(STEP_IN_NAME.search(str(text)) for text in table[name])]
    alone = any(is_run_name(name) and table[name].is_unique for name in table.columns.difference(steps))
    differ = any(not table.duplicated([*_keys(table, "N"), step]).any() for step in steps)
    return not alone and bool(differ or _step_within(table, "N")) and _are_milestones(table, "N")


def _taken(runs: np.ndarray, keys: list[str]) -> str:
    by = f"the column {keys[0]}" if len(keys) == 1 else f"the columns {' and '.join(keys)}"
    return (
        f"{counted(len(runs), 'row')} are milestones of {counted(len(set(runs)), 'run')}, by {by}: drawn together "
        f"for intervals (--run-column {NONE} where each row is a run of its own). The loss before the end of a run is "
        "that of a run of that length only at a constant rate"
    )


def _asked(table: pd.DataFrame, name: str) -> str:
    what = "rising D" if name == "N" else "one N and rising D"
    return (
        f"rows that share {' and '.join(_keys(table, name))} have {what}: where they are milestones of one run, "
        f"intervals are too narrow; then say --run-column {one_word(name)}"
    )


def _keys(table: pd.DataFrame, name: str) -> list[str]:
    """Return the columns that tell runs apart: their names, and the seed where those of one name have several."""
    several = "seed" in table.columns and name != "seed"
    return [name, "seed"] if several and (table.groupby(name)["seed"].nunique() > 1).any() else [name]


def _names(table: pd.DataFrame, name: str) -> np.ndarray:
    """Return the names of the rows' runs; a row without one becomes a run of its own."""
    first, *seed = (table[key].astype(object).map(str).to_numpy(object) for key in _keys(table, name))
    words = first + ", seed " + seed[0] if seed else first
    lone = table[name].isna().to_numpy()
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
    least = 1 if "run" in plain_name(name) else 2  # one run, as after a condition
    return least <= column.nunique(dropna=False) < len(table)


def _are_milestones(table: pd.DataFrame, name: str) -> bool:
    """Tell whether rows with the same value share N and differ in D (or another measure of training progress)."""
    groups = table.groupby(_keys(table, name), dropna=False, sort=False)
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
    groups = table.groupby(_keys(table, name), dropna=False, sort=False)
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
