"""Whether a run is settled: its record is there, and whole."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING

from scaling.folders import RunFolder, set_aside

if TYPE_CHECKING:
    from scaling.plan.plan import Plan
    from scaling.plan.planned import PlannedRun

log = logging.getLogger(__name__)


def settled(files: RunFolder, keeps: Iterable[int] = ()) -> bool:
    """Return whether a run has a whole record and, unless it diverged, the weights at the steps that it `keeps`."""
    try:
        record = json.loads(files.record.read_bytes())
    except (FileNotFoundError, ValueError):
        return False
    if not isinstance(record, dict):
        return False
    return record.get("status") == "diverged" or all(files.kept_weights(step).is_file() for step in keeps)


def clear_for_training(files: RunFolder) -> None:
    """Put the record of a run that is done again out of the way; its claim must be held."""
    if not files.record.exists():
        return
    why = "lacks weights that are needed" if settled(files) else "was cut in half"
    log.warning("found a record that %s; set aside as %s; the run is done again", why, set_aside(files.record).name)


ASIDE = "record.json.before"  # what a record is called once its run shall be trained again


def lacking(plan: Plan) -> list[PlannedRun]:
    """Return the settled runs whose record has not every milestone of the plan."""
    asked = [run for run in plan.runs if len(run.quantities.milestones) > 1]
    return [run for run in asked if _lacks(run, plan.folder.run(run.run_id))]


def _lacks(run: PlannedRun, files: RunFolder) -> bool:
    try:
        record = json.loads(files.record.read_bytes())
        taken = {point["step"] for point in record["points"]}
    except (OSError, ValueError, KeyError, TypeError):
        return False  # not settled, or cut in half: the run is done again anyway
    return record["status"] == "finished" and not taken.issuperset(run.quantities.milestones)


def redo(plan: Plan) -> int:
    """Put the records of such runs aside, so that they are trained again, and return how many there were."""
    found = lacking(plan)
    for run in found:
        record = plan.folder.run(run.run_id).record
        record.replace(record.with_name(ASIDE))
    return len(found)
