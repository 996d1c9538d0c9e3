"""Select the rows of a table that a fit may use, and say why the others are left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import pandas as pd

from analysis.errors import Refusal, UserError, check_words
from analysis.table.columns import not_numeric, parse_numbers, with_written_numbers
from analysis.table.expressions import mask
from analysis.table.mixtures import with_mixtures
from analysis.table.recognise.clusters import with_runs, without_early_rows
from analysis.table.recognise.statuses import UNFINISHED, status_word, statuses, unclear_statuses, unknown_words
from analysis.table.recognise.units import doubtful_error, doubtful_units
from analysis.table.remarks import with_remarks
from analysis.wording import counted, listed, one_word

RECIPE = (
    *("optim", "lr_rule", "schedule", "batch", "augment", "label_smoothing", "precision", "engine", "stage_recipe"),
    "trained",
)
"""Columns on which runs fitted together must agree unless pooled, as the recipe affects exponents."""
KEEPABLE = ("at_chance", "extra", *UNFINISHED)
COUNTS = ("N", "D", "C", "D_unique", "width", "depth")
"""Columns of counts, which are read as numbers even where written as text."""
OWN_TASK = "test"
"""The task of training runs; other tasks belong to stages."""


def select_rows(
    table: pd.DataFrame,
    *,
    y: str,
    rows: Literal["final", "all"] = "final",
    where: str | None = None,
    pool: Sequence[str] = (),
    keep: Sequence[str] = (),
    task: str | None = None,
    run_column: str | None = None,
    along: Sequence[str] = (),
) -> tuple[pd.DataFrame, list[str]]:
    """Choose the rows a fit of y may use, and say in sentences which were left out and why.

    Left out: runs that did not finish (the words of `recognise.statuses`, in any case) or that are at chance, unless
    keep names their word; rows without a finite y; milestones, unless rows is "all" (for constant-rate runs only).
    Recipe columns that differ are refused unless pool names them. A rule that looks at a column does nothing where the
    table has no such column. run_column: names the run of each row, where rows are milestones ("none": each row is a
    run). along: the variables of a law; of a run whose rows differ in their step, but in none of these and N, D and C,
    only the last row is used. What else is worth knowing (columns that were guessed, units in doubt, clusters) stands
    in the rows' remarks.
    """
    check_words(y=y)
    for column in along:
        check_words(x=column)
    _check_choice(rows, keep)
    table, odd = parse_numbers(table, [*(name for name in COUNTS if name in table.columns), y])
    left_out: list[str] = []
    chosen = _settled(table, {status_word(word) for word in keep}, left_out)
    chosen = _where(chosen, where, left_out)
    chosen = _one_task(chosen, task)
    chosen = _final(chosen, rows, left_out)
    _no_words(chosen, odd)
    chosen = _finite(chosen, y, left_out)
    if chosen.empty:
        raise UserError(f"no row is left to fit {y} ({'; '.join(left_out) or 'the table is empty'}); wanted some runs")
    _same_recipe(chosen, pool)
    chosen = with_runs(chosen.reset_index(drop=True), run_column)
    if rows == "final":
        chosen = without_early_rows(chosen, left_out, along).reset_index(drop=True)
    chosen = with_remarks(
        chosen, *_odd_statuses(chosen), *_other_data(chosen), *doubtful_units(chosen), *doubtful_error(chosen, y)
    )
    return with_mixtures(chosen, pool, y), left_out


def _no_words(chosen: pd.DataFrame, odd: Mapping[str, pd.Series]) -> None:
    """Raise `UserError` where text that is not a number remains."""
    for column, words in odd.items():
        left = words[words.index.isin(chosen.index)]
        if len(left):
            raise not_numeric(left, column, len(chosen))


def _check_choice(rows: str, keep: Sequence[str]) -> None:
    """Raise `UserError` for unknown rows or words to keep."""
    if rows not in ("final", "all"):
        raise UserError(f"found rows={rows!r}; wanted 'final' or 'all'")
    unknown_words = [word for word in keep if status_word(word) not in KEEPABLE]
    if unknown_words:
        raise UserError(f"found keep={unknown_words[0]!r}; wanted one of {', '.join(KEEPABLE)}")


def recipe_differences(table: pd.DataFrame, pool: Sequence[str] = ()) -> dict[str, list[str]]:
    """Return the recipe columns with more than one value, and the values. pool: columns that may differ."""
    found: dict[str, list[str]] = {}
    table = with_rules(table)
    for column in RECIPE:
        if column in table.columns and column not in pool:
            values = table[column].astype(object).where(table[column].notna(), "unset").astype(str).unique()
            if len(values) > 1:
                found[column] = sorted(values)
    return found


def with_rules(table: pd.DataFrame) -> pd.DataFrame:
    """Replace the batch of runs by their sweep's batch rule, if any, as runs under one rule have one recipe."""
    if not {"batch", "batch_rule"} <= set(table.columns):
        return table
    rule = table["batch_rule"].astype(object)
    has_one = rule.notna() & (rule != "")
    return table.assign(batch=rule.where(has_one, table["batch"])) if has_one.any() else table


def has_milestones(rows: pd.DataFrame) -> bool:
    """Tell whether some of the rows are milestones before the end of their run."""
    return "final" in rows.columns and not as_bool(rows["final"]).all()


def origins(rows: pd.DataFrame) -> pd.Series:
    """Return the training run of each row: its own, or the one from which its stage started."""
    if "run_id" not in rows.columns:
        return pd.Series(rows.index, index=rows.index)
    own = rows["run_id"]
    return rows["origin"].where(rows["origin"].notna(), own) if "origin" in rows.columns else own


def last_rows(table: pd.DataFrame) -> pd.DataFrame:
    """Return the last row of each run; all rows of a table without run ids."""
    return table.drop_duplicates("run_id", keep="last") if "run_id" in table.columns else table


def tasks_of(table: pd.DataFrame) -> list[str]:
    """Return the tasks of a table, the training's own first; none where it has no such column."""
    if "task" not in table.columns:
        return []
    return sorted(table["task"].dropna().astype(str).unique(), key=lambda task: (task != OWN_TASK, task))


def rows_where(table: pd.DataFrame, where: str | None) -> pd.DataFrame:
    """Return the rows that satisfy a condition (all if it is None); raise `UserError` if there are none."""
    if not isinstance(where, str | None):
        raise UserError(
            f"found where of type {type(where).__name__}; wanted a condition in words, such as 'loss < 3.4'"
        )
    if not where or table.empty:
        return table
    try:
        chosen = table[mask(table, where)]
    except UserError:  # text compared with numbers
        counts = [name for name in (*COUNTS, "loss") if name in table.columns]
        chosen = table[mask(parse_numbers(with_written_numbers(table), counts)[0], where)]
    if chosen.empty:
        raise UserError(f'no row is left by --where "{where}" (of {len(table)}); wanted at least one')
    return chosen


def _where(table: pd.DataFrame, where: str | None, left_out: list[str]) -> pd.DataFrame:
    chosen = rows_where(table, where)
    if len(chosen) < len(table):
        left_out.append(f"{counted(len(table) - len(chosen), 'row')} not in where: {where}")
    return chosen


def _one_task(table: pd.DataFrame, task: str | None) -> pd.DataFrame:
    hint = f"; --y {one_word(task)} takes the column of that name" if task in table.columns else ""
    if "task" not in table.columns:
        if task is not None:
            hint = hint or "; leave out --task, and name the column of the task's error with --y"
            raise UserError(f"found no column task, so no task {task!r}; the table has {listed(table.columns)}{hint}")
        return table
    tasks = sorted(str(value) for value in table["task"].dropna().unique())
    if task is not None:
        if task not in tasks:
            raise UserError(f"found no task {task!r}; the table has {listed(tasks)}{hint}")
        return table[table["task"].astype(str) == task]
    if len(tasks) > 1:
        raise UserError(f"found {len(tasks)} tasks ({listed(tasks)}); wanted one; name it with --task")
    return table


def _settled(table: pd.DataFrame, keep: set[str], left_out: list[str]) -> pd.DataFrame:
    out = pd.Series(False, index=table.index)

    def leave_out(rows: pd.Series, reason: str) -> None:
        these = rows & ~out
        if these.any():
            left_out.append(f"{counted(_n_runs(table[these]), 'run')} {reason}")
            out.loc[these] = True

    words = statuses(table)
    if words is not None:
        for word in UNFINISHED:
            if word not in keep:
                leave_out(words == word, word.replace("_", " "))
    if "extra" in table.columns and "extra" not in keep:
        leave_out(table["extra"].fillna(False).astype(bool), "no longer in the sweep (--keep extra uses them)")
    if "flags" in table.columns and "at_chance" not in keep:
        flags = table["flags"].astype(object).where(table["flags"].notna(), "").astype(str)
        at_chance = flags.str.split("|").map(lambda words: "at_chance" in words).astype(bool)
        leave_out(at_chance, "at chance (--keep at_chance uses them)")
    return table[~out]


def _other_data(chosen: pd.DataFrame) -> list[str]:
    """Say which data sets had other contents in some of the runs, as after a change of their files."""
    if not {"data", "data_digest"} <= set(chosen.columns):
        return []
    known = chosen[chosen["data_digest"].notna()]  # runs of version 0.1.0 have none
    found = known.groupby("data", sort=False)["data_digest"].unique()
    return [
        f"runs of data={data} read {len(digests)} different contents of it ({listed(list(digests), 4)}): their files "
        f"were changed, or have several names or image sizes; leave some out with --where, such as "
        f"\"data_digest == '{digests[0]}'\""
        for data, digests in found.items()
        if len(digests) > 1
    ]


def _odd_statuses(chosen: pd.DataFrame) -> list[str]:
    """Report unknown words in a status column; their rows are used."""
    words = statuses(chosen)
    odd = [] if words is None else unknown_words(words)
    remarks = [f"a status holds {listed(odd)}, known neither as finished nor as another: used (--where leaves out)"]
    blank = 0 if words is None else int((words == "").sum())
    empty = f"{counted(blank, 'row')} without a status {'is' if blank == 1 else 'are'} used (--where leaves out)"
    return [*(remarks if odd else []), *([empty] if 0 < blank < len(chosen) else []), *unclear_statuses(chosen)]


def _final(table: pd.DataFrame, rows: str, left_out: list[str]) -> pd.DataFrame:
    if "final" not in table.columns or table.empty:
        return table
    final = as_bool(table["final"])
    if rows == "final":
        if not final.all():
            left_out.append(f"{counted(int((~final).sum()), 'milestone')} before the end of a run")
        return table[final]
    if "schedule" not in table.columns:
        raise UserError("found no column schedule; rows='all' wants it: only milestones of constant-rate runs are used")
    schedule = table["schedule"].map(str)
    constant = schedule.str.match(r"constant\b")
    inside = ~final & ~constant
    if inside.any() and not (constant & ~final).any():
        kinds = sorted(schedule[inside].unique())
        raise Refusal(
            f"the milestones lie inside schedules that decay ({listed(kinds)}), where the loss is not that of a run of "
            "that length; only constant-rate runs have usable milestones; use the final rows"
        )
    if inside.any():
        left_out.append(f"{counted(int(inside.sum()), 'milestone')} inside a decaying schedule")
    return table[~inside]


def _finite(table: pd.DataFrame, y: str, left_out: list[str]) -> pd.DataFrame:
    if table.empty:
        return table
    finite = np.isfinite(table[y].to_numpy(float))
    if not finite.all():
        left_out.append(f"{counted(int((~finite).sum()), 'row')} without a finite {y}")
    return table[finite]


def _same_recipe(table: pd.DataFrame, pool: Sequence[str]) -> None:
    unknown = [column for column in pool if column not in table.columns and column not in RECIPE]
    if unknown:
        raise UserError(f"found no column {unknown[0]!r} to pool; the table has {listed(table.columns)}; name another")
    differ = recipe_differences(table, pool)
    if differ:
        what = "; ".join(f"{column}: {listed(values, 4)}" for column, values in differ.items())
        tuned = (
            "; `scaling tuned` of this table finds the best learning rate of each setting"
            if "lr_rule" in differ
            else ""
        )
        raise Refusal(
            f"the runs differ in their recipe ({what}), and the recipe moves an exponent by itself; choose one with "
            f"--where, or say what may differ with --pool {','.join(differ)}{tuned}"
        )


def is_usable(rows: pd.DataFrame, y: str) -> bool:
    """Tell whether a response is measured and positive in all rows, as a log axis needs."""
    if y not in rows.columns or not pd.api.types.is_numeric_dtype(rows[y]):
        return False
    return bool(rows[y].notna().all()) and bool((rows[y] > 0).all())


def as_bool(column: pd.Series) -> pd.Series:
    """Read a column of booleans, possibly written as numbers or text; empty is False."""
    if column.dtype == bool:
        return column
    return column.astype(str).str.lower().isin(("true", "1", "1.0", "yes"))


def _n_runs(table: pd.DataFrame) -> int:
    return table["run_id"].nunique() if "run_id" in table.columns else len(table)
