"""One member of a stack: its attempt, its random streams and its progress."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import nan
from typing import Any

import torch
from torch import Tensor, nn

from scaling.global_streams import stream_states
from scaling.train.attempt import Attempt
from scaling.train.evaluation import Evaluation
from scaling.train.feed.feed import Feed
from scaling.train.learner import Learner
from scaling.train.loop import Trainer

Ended = Callable[[Evaluation | Exception | None], None]  # its last evaluation, its error, or None if it was stopped


@dataclass
class MemberState:
    """The present state of a member.

    ended: called once, when it leaves; augment_generator, dropout_generator: on the device; streams: the other
    global streams; order, groups: the names of the parameters and the parameter groups, as in the state of torch's
    optimiser; moments: of the optimiser, by parameter and name, empty once the stack has loaded them; total: sum of the
    losses before this attempt; began: the first step of this attempt; seconds: its time in steps; read_at: the step and
    the sum of the losses at the last report of progress.
    """

    attempt: Attempt
    learner: Learner
    ended: Ended
    feed: Feed
    augment_generator: torch.Generator
    dropout_generator: torch.Generator
    streams: dict[str, Any]
    order: tuple[str, ...]
    groups: list[dict[str, Any]]
    moments: dict[str, dict[str, Tensor]] = field(repr=False)
    step: int = 0
    total: float = 0.0
    lr: float = nan
    began: int = 0
    seconds: float = 0.0
    read_at: tuple[int, float] = (0, 0.0)

    @property
    def module(self) -> nn.Module:
        """The trained module."""
        return self.learner.module

    @property
    def steps(self) -> int:
        """The steps of the whole run."""
        return self.attempt.run.quantities.steps

    @property
    def reads_module(self) -> bool:
        """Whether weights or filters are to be kept at the present step, which are read from the module."""
        train, at_end = self.attempt.run.config.train, self.step == self.steps
        return self.step in self.attempt.run.kept_steps or (at_end and bool(train.filters))

    def examples_trained(self) -> int:
        """Return how many examples this attempt has trained on."""
        return (self.step - self.began) * self.attempt.run.quantities.batch


def member_state_of(attempt: Attempt, trainer: Trainer, ended: Ended) -> MemberState:
    """Return the state of a trainer as a member; the global streams must be the trainer's."""
    device, optimizer = attempt.device, trainer.optimizer
    names = {parameter: name for name, parameter in trainer.module.named_parameters()}
    streams = stream_states([device] if device.type == "cuda" else [])
    dropout = torch.Generator(device)
    dropout.set_state(streams["torch"][-1])
    return MemberState(
        attempt=attempt,
        learner=trainer.learner,
        ended=ended,
        feed=trainer.batches.feed,
        augment_generator=trainer.augment_generator,
        dropout_generator=dropout,
        streams=streams,
        order=tuple(names[p] for group in optimizer.param_groups for p in group["params"]),
        groups=optimizer.state_dict()["param_groups"],
        moments={names[p]: dict(optimizer.state[p]) for p in names if p in optimizer.state},
        step=trainer.step,
        total=trainer.total.item(),
        lr=trainer.lr,
        began=trainer.began,
        read_at=(trainer.step, trainer.total.item()),
    )


def optimizer_state(member: MemberState, moments: dict[str, dict[str, Tensor]], *, counts: bool) -> dict[str, Any]:
    """Return the state of a member's optimiser in torch's format; moments: by parameter and name."""
    state: dict[int, dict[str, Tensor]] = {}
    if member.step and (counts or any(moments.values())):
        steps = {"step": torch.tensor(float(member.step))} if counts else {}
        state = {index: {**steps, **moments[name]} for index, name in enumerate(member.order)}
    groups = [{**group, "lr": member.lr * group.get("share", 1.0)} for group in member.groups]
    return {"state": state, "param_groups": groups}


def streams_state(member: MemberState) -> dict[str, Any]:
    """Return the states of a member's global streams in the format of a run trained alone."""
    return {**member.streams, "torch": [*member.streams["torch"][:-1], member.dropout_generator.get_state()]}
