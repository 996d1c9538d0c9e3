"""Trunks: runs that differ only in length share their common steps.

With a schedule such as wsd, a long run takes the same steps as a shorter one until the shorter one's decay. So the
longest run is the trunk; it saves its whole state where another begins to differ, which continues from there, bit for
bit as if it had been trained alone (in stacks up to rounding). Ids, N, D and C are those of runs trained alone; C_spent
counts only the steps trained. Cooldown branches of one run: Hägele et al. 2024, arXiv 2405.18392.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

from scaling.config import RunConfig
from scaling.errors import UserError
from scaling.optim.lstsq import LeastSquares
from scaling.plan.identity import identity
from scaling.plan.planned import Fork, PlannedRun

LEAST_SHARE = 0.05  # least share of common steps for which a fork is worthwhile


def share_trunks(runs: Mapping[str, PlannedRun]) -> dict[str, PlannedRun]:
    """Let runs that differ only in length fork from the longest one; UserError if none can."""
    found = dict(runs)
    groups: dict[str, list[PlannedRun]] = {}
    for run in runs.values():
        _check(run.config)
        groups.setdefault(_without_length(run), []).append(run)
    prefixes: dict[tuple[Any, int, int], int] = {}
    for group in groups.values():
        for run in _forked(group, prefixes):
            found[run.run_id] = run
    if not any(run.fork for run in found.values()):
        schedule = next(iter(runs.values())).config.schedule.name
        raise UserError(
            f"found sweep.trunk with schedule={schedule}, under which no two runs of the sweep take the same first "
            f"steps up to their first milestone; wanted several lengths under schedule=wsd, its rise in "
            f"schedule.warmup_steps, and train.milestones beyond the common steps; change them or drop trunk"
        )
    return found


def _check(config: RunConfig) -> None:
    """Raise UserError for a run that cannot continue from another."""
    if config.train.engine == "compile":
        raise UserError(
            "found sweep.trunk with train.engine=compile, whose runs are not the same each time; "
            "wanted engine=eager or stacked; change it or drop trunk"
        )
    if isinstance(config.optim, LeastSquares):
        raise UserError("found sweep.trunk with optim=lstsq, which takes no steps; wanted another; drop trunk")


def _without_length(run: PlannedRun) -> str:
    """Return all that determines a run's steps except their number."""
    facts = identity(run.config, run.quantities)
    facts["train"] = {key: value for key, value in facts["train"].items() if key != "steps"}
    return json.dumps(facts, sort_keys=True, default=str)


def _forked(group: Sequence[PlannedRun], prefixes: dict[tuple[Any, int, int], int]) -> list[PlannedRun]:
    """Return the runs of a group that share enough steps with the longest one, as forks of it, and that run."""
    trunk = max(group, key=lambda run: run.quantities.steps)
    shorter, forks = [], set()
    for run in group:
        steps = run.quantities.steps
        key = (run.config.schedule, steps, trunk.quantities.steps)
        if key not in prefixes:
            prefixes[key] = common_steps(*key)
        step = min(prefixes[key], steps - 1)  # at least one step of its own
        while step in forks:  # a branch removes its state when it ends
            step -= 1
        if run is trunk or step < LEAST_SHARE * steps or min(run.quantities.milestones) <= step:
            continue
        shorter.append(dataclasses.replace(run, fork=Fork(trunk.run_id, step)))
        forks.add(step)
    return [*shorter, dataclasses.replace(trunk, forks=tuple(sorted(forks)))] if shorter else []


def common_steps(schedule: Any, steps: int, longer: int) -> int:
    """Return how many first steps have the same learning rate in a run of `steps` and in a longer one."""
    for step in range(min(steps, longer)):
        if schedule.factor(step, steps) != schedule.factor(step, longer):
            return step
    return min(steps, longer)
