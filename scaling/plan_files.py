"""A plan on disk: plan.csv (pure), forecast.csv (this machine's) and the sweep as it was asked for."""

from __future__ import annotations

import csv
import io
import logging
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from scaling.errors import UserError
from scaling.folders import SweepFolder, write_aside
from scaling.forecast import Forecast
from scaling.plan import Plan
from scaling.record import set_aside
from scaling.roots import roots

log = logging.getLogger(__name__)


class BrokenPlan(UserError):
    """A plan.csv that cannot be read."""


def write_plan(plan: Plan, forecasts: Mapping[str, Forecast], *, join: bool = False) -> int:
    """Write the plan's files and return how many runs of an earlier plan are no longer in it.

    `join`: the runs join those of the earlier plan, as single runs do; otherwise they take their place.
    """
    folder = plan.folder
    try:
        former = read_rows(folder)
    except BrokenPlan as error:
        log.warning("%s; set aside as %s", error, set_aside(folder.plan).name)
        former = []
    rows = [run.row() for run in plan.runs]
    planned = {row["run_id"] for row in rows}
    extra = [row for row in former if row["run_id"] not in planned]
    if join:
        rows = [*extra, *rows]
    write_aside(folder.plan, to_csv(rows))
    write_aside(folder.forecast, to_csv([{"run_id": key, **value.row()} for key, value in forecasts.items()]))
    write_aside(folder.sweep, _sweep_text(plan))
    return 0 if join else len(extra)


def read_rows(folder: SweepFolder) -> list[dict[str, str]]:
    """Read plan.csv as it stands, an empty list where there is none; BrokenPlan where it is none."""
    if not folder.plan.exists():
        return []
    try:
        with folder.plan.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except (UnicodeDecodeError, csv.Error):
        rows = []
    if not rows or not all(row.get("run_id") and row.get("C") for row in rows):
        raise BrokenPlan(
            f"found {folder.plan}, which is no whole plan; wanted one row a run; give the sweep's `scaling run` again, "
            f"which writes it anew"
        )
    return rows


def to_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """Write rows of equal keys as CSV; None is an empty cell."""
    text = io.StringIO()
    writer = csv.DictWriter(text, _columns(rows), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _columns(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(key for row in rows for key in row))


def _sweep_text(plan: Plan) -> str:
    command = "# command: " + shlex.join(["scaling", "run", *plan.arguments]) + "\n"
    files = [folder / f"{plan.sweep}.yaml" for folder in roots("sweeps")]
    text = next((file.read_text() for file in files if file.is_file()), "") if plan.sweep else ""
    return text + command
