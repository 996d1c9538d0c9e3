"""The runs of a sweep as its plan.csv and forecast.csv have them."""

from __future__ import annotations

import csv

from scaling.dispatch.states.state import Planned
from scaling.errors import UserError
from scaling.folders import SweepFolder
from scaling.plan.rows import read_rows


def read_plan(folder: SweepFolder) -> list[Planned]:
    """Read the runs of a sweep from plan.csv and forecast.csv."""
    if not folder.plan.exists():
        raise UserError(f"found no {folder.plan}; wanted the folder of a sweep that was run; check the name")
    seconds = _forecast_seconds(folder)
    return [
        Planned(
            row["run_id"],
            row.get("overrides") or row["run_id"],
            float(row.get("stage_C") or row.get("C_spent") or row["C"]),
            seconds.get(row["run_id"]),
            (row["parent"],) if row.get("parent") else (),
            int(row["parent_step"]) if row.get("parent_step") else None,
        )
        for row in read_rows(folder)
    ]


def _forecast_seconds(folder: SweepFolder) -> dict[str, float]:
    """Read what each run was forecast to take; nothing where the file is missing or broken, for it is only a guess."""
    try:
        with folder.forecast.open(newline="", encoding="utf-8") as file:
            return {row["run_id"]: float(row["seconds"]) for row in csv.DictReader(file) if row.get("seconds")}
    except (FileNotFoundError, KeyError, ValueError, csv.Error):
        return {}
