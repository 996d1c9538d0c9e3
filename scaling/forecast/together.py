"""Time the steps of stacks, alone and in parallel."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from scaling.folders import RunFolder
from scaling.forecast.timing.clock import clock_of, typical
from scaling.plan.planned import PlannedRun, plan_run
from scaling.train.attempt import Attempt
from scaling.train.feed.feed import Epochs
from scaling.train.feed.run_data import load_run_data
from scaling.train.loop import Trainer
from scaling.train.output.journal import Journal
from scaling.train.precision import computed_precision, matmul_precision
from scaling.train.sizes import CHECK_STEPS
from scaling.train.stacked.member_state import MemberState, member_state_of
from scaling.train.stacked.stack import Stack

WARM_UP, SLICES = 8, 4  # steps before the timed ones, and slices of these
STEPS = {"cpu": 32, "cuda": CHECK_STEPS}  # of a slice; on a GPU the host prepares as many as in a sweep meanwhile
BESIDE = 4  # stacks in parallel


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
    """Return the members of a stack, which read one data set, each in its own order."""
    held, found = load_run_data(run.config, run.quantities, where), list[MemberState]()
    assert isinstance(held.feed, Epochs), "the noise that stacks are timed on has a size"
    for seed in range(members):
        own, at = plan_run(replace(run.config, seed=seed), overrides={}), RunFolder(folder / str(seed))
        sets = replace(held, feed=Epochs(held.feed.subset, seed=seed))
        trainer = Trainer(own, sets.batches(own.quantities.batch), where)
        attempt = Attempt(own, at, where, sets, Journal(at))
        found.append(member_state_of(attempt, trainer, print))
    return found
