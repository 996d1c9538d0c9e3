"""Select runs of a sweep by their ids, by overrides, or by an expression over the plan's columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import click

from scaling.errors import UserError
from scaling.folders import SweepFolder

IDS = ("run_id", "parent", "origin", "trunk")  # columns that are texts, even where an id is digits alone
RUNS = click.argument("words", nargs=-1, metavar="[RUN_ID|KEY=VALUE]...")
WHERE = click.option(
    "--where",
    multiple=True,
    metavar="EXPR",
    help="Select runs by a condition on the columns of plan.csv; may be repeated.",
)


def chosen(folder: SweepFolder, words: Sequence[str], where: Sequence[str]) -> list[str] | None:
    """Return the selected runs, None for all if there is no selection.

    words: ids or their first digits, each of which selects a run, and overrides, all of which must match; where:
    conditions, all of which must hold. A run that is queued but no longer in the plan can be selected by its id.
    """
    if not words and not where:
        return None
    if any(not word.strip() for word in words):  # would match every run
        raise UserError("found '' as a run; wanted its id or overrides; was it a variable of the shell that is empty?")
    overrides = [word for word in words if "=" in word]
    run_ids = tuple(word for word in words if "=" not in word)
    rows = _rows(folder, run_ids)
    if overrides:
        rows = [row for row in rows if _has_all(row, overrides)]
        if not rows:
            raise UserError(
                f"found no run with {' '.join(overrides)} in {folder.plan}; wanted overrides as `scaling status --all` "
                f"shows them"
            )
    return [row["run_id"] for row in rows if all(_holds(row, condition) for condition in where)]


def the_one(folder: SweepFolder, words: Sequence[str]) -> str:
    """Return the one selected run; an id or its first digits need not be in the plan.

    UserError if overrides match no run, or several.
    """
    asked = " ".join(words).split() or [""]
    if len(asked) == 1 and asked[0] and "=" not in asked[0]:
        return asked[0]
    found = chosen(folder, asked, ()) or []
    if len(found) == 1:
        return found[0]
    labels = {row["run_id"]: row.get("overrides", "") for row in _rows(folder, ())}
    some = ", ".join(f"{run_id} ({labels.get(run_id, '')})" for run_id in found[:3])
    raise UserError(
        f"found {len(found)} runs with {' '.join(asked)}: {some}, …; wanted one; give more of them, or its id"
    )


def _rows(folder: SweepFolder, run_ids: tuple[str, ...]) -> list[dict[str, str]]:
    """Return the plan's rows, or those of the given runs."""
    from scaling.dispatch.control.cancel import queued_outside_plan
    from scaling.plan.rows import read_rows

    rows = read_rows(folder)
    if not run_ids:
        return rows
    rows += [{"run_id": run_id} for run_id in queued_outside_plan(folder)]
    unknown = [run_id for run_id in run_ids if not any(row["run_id"].startswith(run_id) for row in rows)]
    if unknown:
        raise UserError(f"found no run {unknown[0]} in {folder.plan}; wanted one of its run_ids; see `scaling status`")
    return [row for row in rows if row["run_id"].startswith(run_ids)]


def _has_all(row: Mapping[str, str], overrides: Sequence[str]) -> bool:
    """Return whether a run has all of these overrides; numbers are compared by value."""
    has = dict(word.split("=", 1) for word in row.get("overrides", "").split() if "=" in word)
    wanted = (word.split("=", 1) for word in overrides)
    return all(key in has and _number(has[key]) == _number(value) for key, value in wanted)


def _holds(row: Mapping[str, str], condition: str) -> bool:
    from scaling.plan.expressions import parse

    return parse(condition, where="--where").holds(partial(_column, row))


def _column(row: Mapping[str, str], name: str) -> Any:
    if name not in row:
        raise UserError(f"found the unknown name {name} in --where; wanted one of {', '.join(row)}")
    return row[name] if name in IDS else _number(row[name])


def _number(text: str) -> float | str:
    with suppress(ValueError):
        return float(text)
    return text
