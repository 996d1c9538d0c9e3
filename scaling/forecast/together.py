"""Time the steps of stacks, and fit their costs relative to those of single runs."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from scipy.optimize import nnls

from scaling.folders import RunFolder
from scaling.forecast.speed import Costs, StackCosts
from scaling.forecast.timing.clock import clock_of, typical
from scaling.forecast.work import step_work
from scaling.plan.planned import PlannedRun, plan_run
from scaling.train.attempt import Attempt
from scaling.train.feed.feed import Epochs, epoch_feed
from scaling.train.feed.run_data import load_run_data
from scaling.train.loop import CHECK_STEPS, Trainer
from scaling.train.output.journal import Journal
from scaling.train.precision import computed_precision, matmul_precision
from scaling.train.stacked.member_state import Hooks, MemberState, member_state_of
from scaling.train.stacked.stack import Stack

WARM_UP, SLICES = 8, 4  # steps before the timed ones, and slices of these
STEPS = {"cpu": 32, "cuda": CHECK_STEPS}  # of a slice; on a GPU the host prepares as many as in a sweep meanwhile
BESIDE = 4  # stacks in parallel
NEARLY = 1.05  # times the least cost of a step for each member, at which a stack is large enough


@dataclass(frozen=True)
class TimedStack:
    """A stack of `members` runs of one shape, and the seconds of its step."""

    run: PlannedRun
    members: int
    seconds: float


def fit_together(stacks: Sequence[TimedStack], costs: Costs) -> tuple[StackCosts, float]:
    """Fit non-negative costs to measured steps of stacks by relative least squares; return them and their error."""
    rows, times = np.array([_row(stack, costs) for stack in stacks]), np.array([stack.seconds for stack in stacks])
    scale = np.maximum(rows.max(axis=0), 1e-12)
    weights, _ = nnls(rows / scale / times[:, None], np.ones(len(times)))
    found = weights / scale
    errors = np.abs(rows @ found / times - 1)
    step, member, sized = found.tolist()
    return StackCosts(step, member, sized), float(np.quantile(errors, 0.75))


def _row(stack: TimedStack, costs: Costs) -> tuple[float, float, float]:
    """Return the row of a stack's step for the fit, for `step`, `member` and `sized`."""
    done = step_work(stack.run.config, batch=stack.run.quantities.batch)
    fixed = done.fixed(costs)
    return fixed, stack.members, stack.members * (done.seconds(costs) - fixed)


def enough_numbers(stacks: Sequence[TimedStack], *, least: int) -> int:
    """Return the size of a step, in numbers, of the smallest stack with nearly the least cost for each member.

    Only stacks of the same shape as the largest one count. least: lower limit of the result if that stack is the
    largest, since larger ones may be even cheaper.
    """
    largest = max(stacks, key=lambda stack: stack.members)
    each = {stack.members: stack.seconds / stack.members for stack in stacks if stack.run == largest.run}
    members = min(members for members, took in each.items() if took <= NEARLY * min(each.values()))
    numbers = members * step_work(largest.run.config, batch=largest.run.quantities.batch).numbers
    return max(numbers, least) if members == largest.members else numbers


def step_seconds(run: PlannedRun, members: int, where: torch.device) -> float:
    """Return the seconds of a step of a stack of `members` runs that differ in their seeds, timed in slices."""
    return _slice_seconds(run, members, [nullcontext()], where) / STEPS[where.type]


def beside_share(run: PlannedRun, members: int, where: torch.device) -> float:
    """Return the seconds that a GPU takes for a step of another stack in parallel, relative to its step alone."""
    streams = [torch.cuda.stream(torch.cuda.Stream(where)) for _ in range(BESIDE)]
    alone, together = (_slice_seconds(run, members, used, where) for used in (streams[:1], streams))
    return min(1.0, max(0.0, (together / alone - 1) / (BESIDE - 1)))


def _slice_seconds(
    run: PlannedRun, members: int, streams: Sequence[AbstractContextManager[object]], where: torch.device
) -> float:
    """Return the seconds of a slice of steps of equal stacks, one on each stream.

    The first steps, in which a GPU's step is captured, are not timed.
    """
    took, clock = [], clock_of(where)
    with TemporaryDirectory(prefix="scaling-probe-") as folder, matmul_precision(computed_precision(run.config, where)):
        stacks = []
        for stream in streams:
            with stream:
                stacks.append((Stack(member_states(run, members, where, Path(folder)), where), stream))
        _advance(stacks, WARM_UP)
        for _ in range(SLICES):
            started = clock()
            _advance(stacks, STEPS[where.type])
            took.append(clock() - started)
    return typical(took, where)


def _advance(stacks: Sequence[tuple[Stack, AbstractContextManager[object]]], count: int) -> None:
    """Take steps as in a sweep: in turns, the next ones are prepared meanwhile, and the losses are read at the end."""
    for stack, stream in stacks:
        with stream:
            stack.advance(count, lambda: True)
            stack.prepare(count)
    for stack, stream in stacks:
        with stream:
            stack.read_totals()


def member_states(run: PlannedRun, members: int, where: torch.device, folder: Path) -> list[MemberState]:
    """Return the members of a stack, which share a data set and read it each in an order of its own."""
    held, found = load_run_data(run.config, run.quantities, where), list[MemberState]()
    assert isinstance(held.feed, Epochs), "the noise that stacks are timed on has a size"
    for seed in range(members):
        own, at = plan_run(replace(run.config, seed=seed), overrides={}), RunFolder(folder / str(seed))
        sets = replace(held, feed=epoch_feed(held.feed.subset, seed=seed))
        trainer = Trainer(own, sets.batches(own.quantities.batch), where)
        attempt = Attempt(own, at, where, sets, Journal(at))
        found.append(member_state_of(attempt, None, trainer, Hooks(print), again=False))
    return found
