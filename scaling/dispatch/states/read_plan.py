"""Read the runs of a sweep from plan.csv and forecast.csv."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from scaling.dispatch.states.state import Planned
from scaling.errors import UserError
from scaling.folders import SweepFolder, exists
from scaling.plan.rows import BrokenPlan, broken_plan, read_columns
from scaling.security.reading import read_bytes

COLUMNS = ("run_id", "overrides", "C", "C_spent", "stage_C", "parent", "parent_step", "steps", "engine")
FORECASTS = ("seconds", "work", "members", "beside")


def read_plan(folder: SweepFolder) -> list[Planned]:
    """Read the runs of a sweep from plan.csv and forecast.csv."""
    if not exists(folder.plan):
        raise UserError(f"found no {folder.plan}; wanted the folder of a sweep that was run; check the name")
    try:
        return list(_planned(folder))
    except BrokenPlan:
        raise
    except (ValueError, OverflowError) as error:
        raise broken_plan(folder) from error


def _planned(folder: SweepFolder) -> Iterator[Planned]:
    seconds, work, members, beside = _forecasts(folder)
    for run_id, overrides, C, C_spent, stage_C, parent, step, steps, engine in read_columns(folder, COLUMNS):
        spent = float(stage_C or C_spent or C)
        own = round(int(float(steps)) * spent / float(C)) if steps and float(C or 0) and not parent else None
        yield Planned(
            run_id,
            overrides or run_id,
            C=spent,
            forecast_seconds=seconds.get(run_id),
            work=work.get(run_id),
            needs=(parent,) if parent else (),
            step=int(step) if step else None,
            steps=own,
            fork=int(float(steps)) - own if own is not None else 0,
            stacked=engine == "stacked",
            members=max(1.0, members.get(run_id, 1.0)),
            beside=int(beside.get(run_id, 0)),
        )


def _forecasts(folder: SweepFolder) -> list[dict[str, float]]:
    """Read the forecast columns; {} for those that the file lacks, or all if it is out of reach or broken."""
    try:
        rows = list(csv.DictReader(io.StringIO(read_bytes(folder.forecast).decode(), newline="")))
        return [{row["run_id"]: float(row[column]) for row in rows if row.get(column)} for column in FORECASTS]
    except (OSError, KeyError, ValueError, csv.Error):
        return [{} for _ in FORECASTS]
