"""Settled runs that lack a milestone which is asked for now: listed, and trained again only on request."""

from __future__ import annotations

import json

from scaling.folders import RunFolder
from scaling.plan import Plan, PlannedRun

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
