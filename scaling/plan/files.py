"""Write a plan: plan.csv (machine-independent), forecast.csv, and the sweep file with its command."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from scaling.compose.roots import roots
from scaling.errors import UserError
from scaling.folders import SweepFolder, exists, set_aside, write_atomically
from scaling.plan.plan import Plan
from scaling.plan.rows import BrokenPlan, read_rows, to_csv
from scaling.security.reading import read_text

log = logging.getLogger(__name__)
COMMAND = "# command: scaling run "  # precedes the arguments in the last line of sweep.yaml


def write_plan(plan: Plan, forecast: Sequence[Mapping[str, Any]], *, join: bool = False) -> int:
    """Write the plan's files, and return how many runs of an earlier plan are no longer in it.

    forecast: the rows of forecast.csv; join: add the runs to those of the earlier plan, as for single runs,
    instead of replacing them. Raises UserError where the folder holds runs trained elsewhere.
    """
    folder = plan.folder
    if exists(folder.imported):
        raise UserError(
            f"found {folder.path}, which holds runs trained elsewhere (`scaling import`); wanted a sweep's own folder; "
            f"give another name=NAME"
        )
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
    write_atomically(folder.plan, to_csv(rows))
    write_atomically(folder.forecast, to_csv(forecast))
    write_atomically(folder.sweep, _sweep_text(plan))
    return 0 if join else len(extra)


def _sweep_text(plan: Plan) -> str:
    command = COMMAND + shlex.join(plan.arguments) + "\n"
    files = [folder / f"{plan.sweep}.yaml" for folder in roots("sweeps")]
    text = next((file.read_text() for file in files if exists(file)), "") if plan.sweep else ""
    return text + "\n" * (text[-1:] not in ("", "\n")) + command


def read_arguments(folder: SweepFolder) -> list[str] | None:
    """Return the arguments of the `scaling run` that wrote a sweep's plan, None if they are not known."""
    try:
        last = read_text(folder.sweep).splitlines()[-1]
    except (OSError, IndexError, ValueError):
        return None
    _, known, arguments = last.rpartition(COMMAND)  # behind the last line of the sweep, where an older version put it
    return shlex.split(arguments) if known else None
