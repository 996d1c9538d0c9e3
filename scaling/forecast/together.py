"""Time the steps of stacks, and fit their costs relative to those of single runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from scipy.optimize import nnls

from scaling.folders import RunFolder
from scaling.forecast.speed import Costs, StackCosts
from scaling.forecast.timing.clock import clock_of, usual
from scaling.forecast.work import work
from scaling.plan.planned import PlannedRun, plan_run
from scaling.train.stacked.run import Ending, Member, train_stack

WARM_UP, STEPS, TRIES = 8, 64, 2  # steps of the shorter run, additional steps of the longer one, repetitions
NEARLY = 1.05  # times the least cost of a step for each member, at which a stack is large enough


@dataclass(frozen=True)
class Stack:
    """A stack of `members` runs of one shape."""

    run: PlannedRun
    members: int


def fit_together(stacks: Sequence[Stack], seconds: Sequence[float], costs: Costs) -> tuple[StackCosts, float]:
    """Fit non-negative costs to measured steps of stacks by relative least squares; return them and their error."""
    rows, times = np.array([_row(stack, costs) for stack in stacks]), np.array(seconds)
    scale = np.maximum(rows.max(axis=0), 1e-12)
    weights, _ = nnls(rows / scale / times[:, None], np.ones(len(times)))
    found = weights / scale
    errors = np.abs(rows @ found / times - 1)
    names = [field.name for field in fields(StackCosts)]
    return StackCosts(**dict(zip(names, found.tolist(), strict=True))), float(np.quantile(errors, 0.75))


def _row(stack: Stack, costs: Costs) -> tuple[float, float, float]:
    """Return the row of a stack's step for the fit, in the order of the fields of `StackCosts`."""
    done = work(stack.run.config, batch=stack.run.quantities.batch)
    fixed = done.fixed(costs)
    return fixed, stack.members, stack.members * (done.seconds(costs) - fixed)


def enough_numbers(stacks: Sequence[Stack], seconds: Sequence[float], *, least: int) -> int:
    """Return the size of a step, in numbers, of the smallest stack with nearly the least cost for each member.

    seconds: of a step of each stack; only stacks of the same shape as the largest one count. least: lower limit of the
    result if that stack is the largest, since larger ones may be even cheaper.
    """
    largest = max(stacks, key=lambda stack: stack.members)
    each = {s.members: took / s.members for s, took in zip(stacks, seconds, strict=True) if s.run == largest.run}
    members = min(members for members, took in each.items() if took <= NEARLY * min(each.values()))
    numbers = members * work(largest.run.config, batch=largest.run.quantities.batch).numbers
    return max(numbers, least) if members == largest.members else numbers


def step_seconds(stack: Stack, where: torch.device) -> float:
    """Return the seconds of a step, from the difference between a longer and a shorter training, repeated."""
    repetitions = [[_train(stack, steps, where) for steps in (WARM_UP + STEPS, WARM_UP)] for _ in range(TRIES)]
    longer, shorter = (usual(took, where) for took in zip(*repetitions, strict=True))
    return max(longer - shorter, 1e-9) / STEPS


def _train(stack: Stack, steps: int, where: torch.device) -> float:
    with TemporaryDirectory(prefix="scaling-probe-") as folder:
        members = [_member(stack.run, steps, seed, Path(folder)) for seed in range(stack.members)]
        clock = clock_of(where)
        started = clock()
        train_stack(members, device=str(where))
        return clock() - started


def _member(run: PlannedRun, steps: int, seed: int, folder: Path) -> Member:
    train = replace(run.config.train, engine="stacked", steps=steps)
    planned = plan_run(replace(run.config, seed=seed, train=train), overrides={})
    return Member(planned, RunFolder(folder / planned.run_id), ended=_raise)


def _raise(ending: Ending) -> None:
    if isinstance(ending.result, Exception):
        raise ending.result
