"""Read the runs of a sweep from plan.csv and forecast.csv."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from scaling.dispatch.states.state import Planned
from scaling.errors import UserError
from scaling.folders import SweepFolder
from scaling.plan.rows import BrokenPlan, broken_plan, read_columns
from scaling.security.reading import read_bytes

COLUMNS = ("run_id", "overrides", "C", "C_spent", "stage_C", "parent", "parent_step", "steps")


def read_plan(folder: SweepFolder) -> list[Planned]:
    """Read the runs of a sweep from plan.csv and forecast.csv."""
    if not folder.plan.exists():
        raise UserError(f"found no {folder.plan}; wanted the folder of a sweep that was run; check the name")
    try:
        return list(_planned(folder))
    except BrokenPlan:
        raise
    except (ValueError, OverflowError) as error:
        raise broken_plan(folder) from error


def _planned(folder: SweepFolder) -> Iterator[Planned]:
    seconds = _forecast_seconds(folder)
    for run_id, overrides, C, C_spent, stage_C, parent, step, steps in read_columns(folder, COLUMNS):
        needs, at = ((parent,) if parent else ()), (int(step) if step else None)
        spent = float(stage_C or C_spent or C)
        own = round(int(float(steps)) * spent / float(C)) if steps and float(C or 0) and not parent else None
        fork = int(float(steps)) - own if own is not None else 0
        yield Planned(run_id, overrides or run_id, spent, seconds.get(run_id), needs, at, own, fork)


def _forecast_seconds(folder: SweepFolder) -> dict[str, float]:
    """Read the forecast seconds of each run; {} if the file is missing or broken, since it is not essential."""
    try:
        rows = csv.reader(io.StringIO(read_bytes(folder.forecast).decode(), newline=""))
        head = next(rows, [])
        if "seconds" not in head:
            return {}
        run_id, seconds = head.index("run_id"), head.index("seconds")
        return {row[run_id]: float(row[seconds]) for row in rows if row[seconds]}
    except (FileNotFoundError, IndexError, ValueError, csv.Error):
        return {}
