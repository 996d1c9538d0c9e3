"""Train stacks to their ends: each member has its own milestones, and leaves its stack at its end."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import cache, partial
from math import isfinite, nan
from pathlib import Path
from time import monotonic
from typing import Any

import torch

from scaling.folders import RunFolder, exists
from scaling.train.attempt import Progress
from scaling.train.callbacks import WATCH_SECONDS, checkpoint_interval, milestone_interval
from scaling.train.errors import result_or_error
from scaling.train.evaluation import NOT_FINITE, Evaluation, make_point
from scaling.train.output.checkpoint import write_checkpoint
from scaling.train.output.milestone import finish, note_point
from scaling.train.output.saver import Saver, snapshot
from scaling.train.stacked.checks import is_at_milestone, is_checked, steps_after, steps_left
from scaling.train.stacked.clock import SharedClock
from scaling.train.stacked.member_state import MemberState
from scaling.train.stacked.stack import Stack
from scaling.train.stacked.users.vmapped import NotStackable

DONE = object()  # marks the end of a stack's turns
FIRST_COST = 0.01  # assumed seconds a member for a checkpoint before the first one


def train_together(stacks: Sequence[Sequence[MemberState]], device: torch.device, clock: SharedClock) -> None:
    """Train stacks of members to their ends; each member's `ended` is called when it leaves.

    Several stacks take turns; on a GPU each has its own stream, so that their steps run in parallel. clock: shared by
    all members. An error in the evaluation of one member ends only this member; an error of a common step, too little
    memory or a file that cannot be written is raised. NotStackable is raised at the end, after the other stacks are
    trained, for a stack that could not be started.
    """
    refused, turns = list[NotStackable](), list[tuple[torch.cuda.Stream | None, Iterator[None]]]()
    with ExitStack() as savers:
        for number, members in enumerate(stacks):
            stream = _stream(device, number) if len(stacks) > 1 and device.type == "cuda" else None
            with torch.cuda.stream(stream):
                try:
                    turns.append((stream, _stack_loop(members, device, clock, savers).turns()))
                except NotStackable as reason:
                    refused.append(reason)
        while turns:
            turns = [(stream, turn) for stream, turn in turns if _advance(stream, turn)]
    if refused:
        raise refused[0]


def _stack_loop(
    members: Sequence[MemberState], device: torch.device, clock: SharedClock, savers: ExitStack
) -> StackLoop:
    stack, folders = Stack(members, device), {member.attempt.run.run_id: member.attempt.folder for member in members}
    saver = savers.enter_context(Saver(partial(_states, stack), partial(_write, folders)))
    return StackLoop(stack, clock, saver, folders)


@cache
def _stream(device: torch.device, number: int) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)


def _advance(stream: torch.cuda.Stream | None, turn: Iterator[None]) -> bool:
    """Let a stack take its turn; return False if it has ended."""
    with torch.cuda.stream(stream):
        return next(turn, DONE) is not DONE


class StackLoop:
    """The training loop of one stack."""

    def __init__(self, stack: Stack, clock: SharedClock, saver: Saver, folders: Mapping[str, RunFolder]) -> None:
        self.stack, self.clock, self._saver, self._folders = stack, clock, saver, folders
        self._began = self._saved = self._watched = monotonic()

    def turns(self) -> Iterator[None]:
        """Train until no member is left; yield after launching steps, so that other stacks can launch theirs."""
        self._keep_forks()
        while self.stack.members:
            began, count = self.clock(), min(map(steps_left, self.stack.members))
            if count:
                self.stack.advance(count, self._tick)
                if following := min(map(steps_after, self.stack.members)):
                    self.stack.prepare(following)
                yield
                self.stack.wait()
            seconds = self.clock() - began
            for member in self.stack.members:
                member.seconds += seconds
            self._leave(self._stopped())
            self._check_members()
            self._keep_forks()

    def _tick(self) -> bool:
        """Report progress and save checkpoints where they are due; return False if a member is asked to stop."""
        now = monotonic()
        self._saver.check()
        if self._stopped():
            return False
        if now - self._watched >= WATCH_SECONDS:
            self._watch(now)
        if now - self._saved >= self._interval:
            self._save()
        return True

    @property
    def _interval(self) -> float:
        """Seconds between two checkpoints of all members."""
        members, trained = self.stack.members, self._saved - self._began
        most = min(member.attempt.run.config.train.checkpoint_seconds for member in members)
        cost = self._saver.cost or FIRST_COST * len(members)
        again = any(member.attempt.again for member in members)
        return checkpoint_interval(cost, most=most, trained=trained if again else None)

    def _save(self) -> None:
        self._saver.save()
        self._saved = monotonic()

    def _stopped(self) -> list[int]:
        return [i for i, member in enumerate(self.stack.members) if member.attempt.is_to_stop]

    def _watch(self, now: float) -> None:
        totals = self.stack.read_totals()
        for member, total in zip(self.stack.members, totals, strict=True):
            if member.attempt.watch is not None:
                member.attempt.watch(_progress(member, total, now - self._watched))
            member.read_at = (member.step, total)
        self._watched = now

    def _leave(self, positions: Collection[int]) -> None:
        """Write the checkpoints of members that are asked to stop, and remove them from the stack."""
        if not positions:
            return
        self._saver.wait()
        leaving, states = [self.stack.members[i] for i in positions], _states(self.stack)
        _write(self._folders, {run_id: snapshot(states[run_id]) for run_id in map(_run_id, leaving)})
        self._without(positions)
        for member in leaving:
            member.ended(None)

    def _without(self, positions: Collection[int]) -> None:
        """Remove the members at these positions from the stack."""
        if positions:
            self._saver.wait()  # it may be writing the checkpoint of a member whose record is written next
            self.stack.select([i for i in range(len(self.stack.members)) if i not in positions])
            self.clock.leave(len(positions))

    def _keep_forks(self) -> None:
        """Save the whole state of members that are at a step from which a run of another length continues."""
        forked = [
            member
            for member in self.stack.members
            if member.step in member.attempt.run.forks and not exists(_fork(member))
        ]
        if forked:
            states = _states(self.stack)
            for member in forked:
                write_checkpoint(_fork(member), _run_id(member), snapshot(states[_run_id(member)]))

    def _check_members(self) -> None:
        """Check the members that are due for finite losses, and evaluate those that are at a milestone."""
        checked = [i for i, member in enumerate(self.stack.members) if is_checked(member)]
        if not checked:
            return
        totals, due = self.stack.read_totals(), list[int]()
        ends: dict[int, Evaluation | Exception] = dict(
            self.stack.take_curves([i for i in checked if isfinite(totals[i])])
        )
        for i in checked:
            member = self.stack.members[i]
            if not isfinite(totals[i]):
                point = make_point(member.attempt.run, NOT_FINITE, step=member.step, lr=member.lr, final=True)
                member.attempt.journal.add(point)
                ends[i] = NOT_FINITE
            elif is_at_milestone(member) and i not in ends:
                due.append(i)
        for i, evaluation in zip(due, self.stack.evaluate(due), strict=True):
            end = self._noted(self.stack.members[i], evaluation)
            if end is not None:
                ends[i] = end
        self._settle(ends)

    def _noted(self, member: MemberState, evaluation: Evaluation | Exception) -> Evaluation | Exception | None:
        """Record a member's milestone; return its last evaluation or its error, None if it continues."""
        if isinstance(evaluation, Exception):
            return evaluation
        parts = (member.attempt, evaluation, member.learner)
        error = result_or_error(partial(note_point, *parts, step=member.step, lr=member.lr))
        return error or (evaluation if member.step == member.steps else None)

    def _settle(self, ends: dict[int, Evaluation | Exception]) -> None:
        """Remove members that have ended, by position; save a checkpoint of the others if one is due at a milestone."""
        leaving = [(self.stack.members[i], end) for i, end in ends.items()]
        self._without(ends)
        for member, end in leaving:
            if not isinstance(end, Exception):
                examples = member.examples_trained()
                finish(member.attempt, member.learner, seconds=member.seconds, examples=examples)
            member.ended(end)
        if any(member.attempt.journal.last_step == member.step for member in self.stack.members):
            least = milestone_interval(self._interval, self._saver.cost)
            if monotonic() - self._saved >= least:
                self._save()


def _states(stack: Stack) -> dict[str, Any]:
    """Return the states for the checkpoints of all members, by run id."""
    pairs = zip(stack.members, stack.states(), strict=True)
    return {_run_id(member): member.attempt.state_with(state) for member, state in pairs}


def _write(folders: Mapping[str, RunFolder], states: Mapping[str, Any]) -> None:
    """Write each member's checkpoint into its own folder, as if it were trained alone."""
    for run_id, state in states.items():
        write_checkpoint(folders[run_id].checkpoint, run_id, state)


def _run_id(member: MemberState) -> str:
    return member.attempt.run.run_id


def _fork(member: MemberState) -> Path:
    return member.attempt.folder.fork(member.step)


def _progress(member: MemberState, total: float, seconds: float) -> Progress:
    step, before = member.read_at
    batch = member.attempt.run.quantities.batch
    return Progress(
        step=member.step,
        steps=member.steps,
        D=member.step * batch,
        loss=(total - before) / (member.step - step) if member.step > step else nan,
        examples_per_second=(member.step - step) * batch / seconds,
        began=member.began,
        seconds=member.attempt.journal.attempt_seconds,
    )
