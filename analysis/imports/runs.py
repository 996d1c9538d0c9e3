"""Group the rows of a table into runs with milestones; incomplete or contradictory rows are reported by line."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analysis.errors import UserError
from analysis.imports.source import Source
from analysis.imports.wandb import RUN as WANDB_RUN
from analysis.table.columns import as_numbers, require_columns
from analysis.table.recognise.clusters import NONE, is_run_name, with_runs, without_early_rows
from analysis.table.recognise.statuses import UNFINISHED, statuses
from analysis.table.results import POINT
from analysis.wording import counted

SIZES = ("N", "D", "C")
RESPONSES = ("loss", "error")
NOT_THEIRS = (
    *("run_id", "trained", "overrides", "status", "flags", "reason", "final", "attempts", "host", "finished_at"),
    *(
        "parent",
        "parent_step",
        "origin",
        "trunk",
        "trunk_step",
        "stage",
        "stage_recipe",
        "stage_C",
        "stage_D",
        "C_spent",
    ),
    *("run_D", "run_C", "run_C_counted", "run_epochs"),
)
"""Columns with a meaning in our plans or records; in imported tables they get the prefix `their_`."""
DIGITS = 12
"""Hexadecimal digits of a run's id."""
ONE_D = (
    "wanted rows of one run to differ in D alone; name another column with --run-column, or none where each row is one"
)
"""End of the errors about contradicting rows of one run."""
Row = tuple[int, dict[str, Any]]
"""The index of a row in its table, and its values."""
Group = tuple[Any, list[Row]]
"""The name of a run (None if it has none) and its rows."""


@dataclass(frozen=True)
class ImportedRun:
    """One run: id, label, constant columns, milestones in order of D, and the line of the last one."""

    run_id: str
    label: str
    columns: dict[str, Any]
    points: tuple[dict[str, Any], ...]
    diverged: bool
    line: int


@dataclass(frozen=True)
class Imported:
    """The runs of a table, sentences on rows left out, and the column that names the runs ('' if there is none)."""

    runs: tuple[ImportedRun, ...]
    left_out: tuple[str, ...]
    run_column: str

    @property
    def n_points(self) -> int:
        """The number of milestones of all runs."""
        return sum(len(run.points) for run in self.runs)


def runs_of(source: Source, table: pd.DataFrame, *, run_column: str | None = None) -> Imported:
    """Group the rows of a table into runs.

    table: the source's table after renaming columns and choosing rows, with its index. Rows of runs that did not end
    are left out and counted; a diverged run is kept without a loss. Raises `UserError` for rows that cannot be used.
    """
    left_out: list[str] = []
    response = next((name for name in RESPONSES if name in table.columns), RESPONSES[0])
    require_columns(table, [*SIZES, response])
    table = as_numbers(table, [name for name in (*SIZES, "D_unique", *POINT) if name in table.columns])
    table = _ended(table, left_out)
    table = _with_response(table, response, left_out)
    if table.empty:
        raise UserError(f"found no finished run in {source.name} ({'; '.join(left_out)}); wanted at least one")
    _refuse_incomplete(source, table, response)
    named = run_column or _naming(table)
    if named != NONE:
        table = table.loc[without_early_rows(with_runs(table, named), left_out).index]
    groups = _groups(table, named)
    moving = _moving(groups)
    runs = tuple(_run(source, name, rows, moving) for name, rows in groups)
    _refuse_twice(source, runs)
    return Imported(runs, tuple(left_out), "" if named == NONE else named)


def _ended(table: pd.DataFrame, left_out: list[str]) -> pd.DataFrame:
    """Leave out the rows of runs that did not end; a column `diverged` marks those that diverged."""
    words = statuses(table)
    if words is None:
        return table.assign(diverged=False)
    gone = words.isin(UNFINISHED) & (words != "diverged")
    for word, n in words[gone].value_counts().items():
        left_out.append(f"{counted(int(n), 'row')} {word}")
    return table.assign(diverged=words == "diverged")[~gone]


def _with_response(table: pd.DataFrame, response: str, left_out: list[str]) -> pd.DataFrame:
    """Leave out rows of W&B's history without a response: steps and runs without an evaluation."""
    if WANDB_RUN not in table.columns:
        return table
    without = table[response].isna() & ~table["diverged"]
    if without.any():
        left_out.append(f"{counted(int(without.sum()), 'row')} without a {response}, as W&B keeps them")
    return table[~without]


def _refuse_incomplete(source: Source, table: pd.DataFrame, response: str) -> None:
    """Raise `UserError` with the lines where N, D or C is not positive, or the response is not finite."""
    for column in (*SIZES, response):
        values = table[column].to_numpy(float)
        bad = ~(np.isfinite(values) & (values > 0)) if column in SIZES else ~np.isfinite(values)
        bad &= ~(table["diverged"].to_numpy(bool) & (column == response))
        if bad.any():
            what = "a positive " if column in SIZES else "a finite "
            raise UserError(
                f"found {source.places(table.index[bad].tolist())} of {source.name} without {what}{column}; wanted "
                f'{", ".join(SIZES)} and {response} in every row; mend them, or leave them out: --where "{column} > 0"'
            )


def _naming(table: pd.DataFrame) -> str:
    """Return the column that names the run of each row (several rows of one N); NONE if each row is a run."""
    if WANDB_RUN in table.columns:
        return WANDB_RUN
    for name in table.columns:
        repeated = is_run_name(name) and table[name].notna().all() and not table[name].is_unique
        if repeated and table.groupby(name, sort=False)["N"].nunique().eq(1).all():
            return str(name)
    return NONE


def _groups(table: pd.DataFrame, named: str) -> list[Group]:
    """Return the rows of each run sorted by D, with its name or None."""
    places, rows = table.index.tolist(), table.to_dict("records")
    every: list[Row] = [
        (place, {str(key): value for key, value in row.items()}) for place, row in zip(places, rows, strict=True)
    ]
    if named == NONE:
        return [(None, [row]) for row in every]
    found: dict[Any, list[Row]] = {}
    for name, row in zip(with_runs(table.reset_index(drop=True), named)["run_id"], every, strict=True):
        found.setdefault(name, []).append(row)
    return [(name, sorted(own, key=lambda row: row[1]["D"])) for name, own in found.items()]


def _moving(groups: Sequence[Group]) -> set[str]:
    """Return the columns that change from milestone to milestone."""
    moving: set[str] = set()
    for _, rows in groups:
        first = rows[0][1]
        for _, row in rows[1:]:
            moving |= {key for key in row.keys() - moving if _json_value(row[key]) != _json_value(first[key])}
    return moving - {*SIZES, "diverged"}


def _run(source: Source, name: Any, rows: Sequence[Row], moving: set[str]) -> ImportedRun:
    """Make a run from its rows; `UserError` if they contradict each other. moving: columns that its milestones have."""
    _refuse_contradiction(source, "one run" if name is None else f"run {name}", rows)
    place, last = rows[-1]
    points = tuple(_point(row, moving, final=row is last) for _, row in rows)
    columns, line = _columns(last, moving), source.place(place)
    facts = json.dumps(["elsewhere", str(name), columns, points], sort_keys=True)
    run_id = hashlib.sha256(facts.encode()).hexdigest()[:DIGITS]
    return ImportedRun(run_id, _label(name, last, line), columns, points, bool(last["diverged"]), line)


def _refuse_contradiction(source: Source, called: str, rows: Sequence[Row]) -> None:
    """Raise `UserError` if the rows of one run have different N, or the same D twice."""
    if len({row["N"] for _, row in rows}) > 1:
        places = source.places(sorted(place for place, _ in rows))
        raise UserError(f"found {places} of {source.name} with different N in {called}; {ONE_D}")
    at: dict[float, list[int]] = {}
    for place, row in rows:
        at.setdefault(row["D"], []).append(place)
    twice = sorted(place for places in at.values() if len(places) > 1 for place in places)
    if twice:
        raise UserError(f"found {source.places(twice)} of {source.name} at one D of {called}; {ONE_D}")


def _label(name: Any, row: Mapping[str, Any], line: int) -> str:
    """Return the label of a run: its name if it has one, else its line."""
    names = (value for key, value in row.items() if is_run_name(key) and isinstance(value, str))
    name = next(names, None) if name is None else name
    return "_".join((f"line={line}" if name is None else f"run={name}").split())


def _columns(row: Mapping[str, Any], moving: set[str]) -> dict[str, Any]:
    """Return the columns that are constant over a run's milestones."""
    left = {key: value for key, value in row.items() if key not in (*POINT, *SIZES, "diverged", *moving)}
    return {"N": _json_value(row["N"]), **{_column(key): _json_value(value) for key, value in left.items()}}


def _point(row: Mapping[str, Any], moving: set[str], *, final: bool) -> dict[str, Any]:
    """Return a milestone in the form of a record, with the changing columns; values missing in the table are None."""
    found = {name: _json_value(row.get(name)) for name in POINT}
    beside = {_column(name): _json_value(row[name]) for name in sorted(moving - {*POINT})}
    return {**found, "C_counted": found["C_counted"] or found["C"], "final": final, **beside}


def _column(name: str) -> str:
    return f"their_{name}" if name in NOT_THEIRS else name


def _json_value(value: Any) -> Any:
    """Return a value as plain JSON: whole numbers as integers, missing and non-finite ones as None."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or value is pd.NaT or value is pd.NA:
        return None
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        return int(value) if value.is_integer() and abs(value) < 2**53 else value
    return value if isinstance(value, bool | int | str) else str(value)


def _refuse_twice(source: Source, runs: Sequence[ImportedRun]) -> None:
    """Raise `UserError` if two rows are the same run."""
    lines: dict[str, int] = {}
    for run in runs:
        if run.run_id in lines:
            raise UserError(
                f"found the same run on {'rows' if source.lines is None else 'lines'} {lines[run.run_id]:,} and "
                f"{run.line:,} of {source.name}; wanted each once; take one out"
            )
        lines[run.run_id] = run.line
