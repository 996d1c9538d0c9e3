"""Train runs of the same shape in one computation: configs in, one record for each run out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch

from scaling.folders import RunFolder
from scaling.global_streams import own_streams
from scaling.plan.identity import stack_key
from scaling.plan.planned import PlannedRun
from scaling.record import Record
from scaling.train.attempt import Attempt, PlacedRun, Progress, content_read
from scaling.train.device import find_device
from scaling.train.errors import result_or_error
from scaling.train.evaluation import Evaluation
from scaling.train.feed.device_cache import shared_examples
from scaling.train.output.journal import Journal
from scaling.train.output.resume import begin
from scaling.train.run import content_at_begin, settle, write_config
from scaling.train.stacked.clock import SharedClock
from scaling.train.stacked.loop import train_together
from scaling.train.stacked.member_state import MemberState, member_state_of
from scaling.train.streams import derive_seed
from scaling.train.training_process import training_process


@dataclass(frozen=True)
class Ending:
    """How a member left its stack: its record, its error, or None if it was stopped.

    seconds: its share of the device's time.
    """

    result: Record | Exception | None
    seconds: float


@dataclass(frozen=True)
class Member:
    """A run that is trained in a stack; watch, stop, forecast_seconds: see `train_run`; ended: called at its end."""

    run: PlannedRun
    folder: RunFolder
    ended: Callable[[Ending], None]
    watch: Callable[[Progress], None] | None = None
    stop: Callable[[], bool] | None = None
    forecast_seconds: float | None = None


def train_stack(members: Sequence[Member], *, device: str = "auto") -> None:
    """Train runs together, each from its checkpoint if it has one, and write their records.

    Runs with the same stack key are one computation; several keys, with the same precision, are trained in parallel.
    The error of a single member is passed to its `ended`. Raises NotStackable, after all others are trained, if the
    module of some cannot be stacked; OutOfMemory, UserError and errors of a common step end all remaining members.
    """
    where, clock = find_device(device), SharedClock(len(members))
    stacks: dict[str, list[Member]] = {}
    for member in members:
        stacks.setdefault(stack_key(member.run.config, member.run.quantities), []).append(member)
    with training_process(members[0].run.config, where):
        with shared_examples():
            begun = [_begin_stack(stack, where, clock) for stack in stacks.values()]
        if where.type == "cuda":
            torch.cuda.synchronize(where)  # the copied data is read on several streams
        train_together([stack for stack in begun if stack], where, clock)


def _begin_stack(members: Sequence[Member], where: torch.device, clock: SharedClock) -> list[MemberState]:
    """Begin the attempts of a stack's members; if one fails, pass the error to the member's `ended`."""
    begun = list[MemberState]()
    for member in members:
        state = result_or_error(partial(_begin_member, member, where, clock, len(members)))
        if isinstance(state, Exception):
            member.ended(Ending(state, 0.0))
        else:
            begun.append(state)
    clock.leave(len(members) - len(begun))
    _share_feeds(begun)
    return begun


def _begin_member(member: Member, where: torch.device, clock: SharedClock, members: int) -> MemberState:
    run, folder = member.run, member.folder
    content = content_at_begin(run, folder)
    write_config(run, folder)
    journal = Journal(folder, clock=clock)
    with own_streams(derive_seed(run.config.seed, "run")):
        sets = run.config.stage.load(PlacedRun(run, folder, where))
        read = content_read(content, sets)
        how = {"stack": members}
        attempt = Attempt(run, folder, where, sets, journal, read, how=how, watch=member.watch, stop=member.stop)
        return member_state_of(attempt, begin(attempt, run.config.stage.learner(attempt)), _ended(member, attempt))


def _ended(member: Member, attempt: Attempt) -> Callable[[Evaluation | Exception | None], None]:
    """Return the callback that writes a member's record when it leaves."""

    def ended(end: Evaluation | Exception | None) -> None:
        result = settle(attempt, end, member.forecast_seconds) if isinstance(end, Evaluation) else end
        member.ended(Ending(result, attempt.journal.attempt_seconds))

    return ended


def _share_feeds(states: Sequence[MemberState]) -> None:
    """Let members that read the same examples at the same step share a feed, that of the longest run."""
    longest: dict[Any, MemberState] = {}
    for state in sorted(states, key=lambda state: -state.steps):
        run = state.attempt.run
        size = None if run.quantities.fresh else run.quantities.D_unique
        key = (replace(run.config.data, size=None), size, run.config.seed, state.step)
        state.feed = longest.setdefault(key, state).feed
