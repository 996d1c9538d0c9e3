"""The learning curves of a stack's members, evaluated together where points are due."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from scaling.train.errors import result_or_error
from scaling.train.losses import losses
from scaling.train.output.curve import Sample, is_alike, sample_of, take_curve
from scaling.train.output.curve_steps import curve_steps
from scaling.train.precision import autocast
from scaling.train.stacked.evaluation import forward_of
from scaling.train.stacked.layers import Forward
from scaling.train.stacked.member_state import MemberState
from scaling.train.stacked.rows import Rows


def is_on_curve(member: MemberState) -> bool:
    """Return whether a member is at a step of its learning curve that has not been logged yet."""
    return member.attempt.journal.last_noted < member.step and member.step in curve_steps(member.attempt.run)


def take_curves(members: Sequence[MemberState], places: Sequence[int], rows: Rows) -> dict[int, Exception]:
    """Log a point of the members' learning curves; return the errors of single members, by their position here.

    places: the members' rows. They are evaluated together if their modules and samples allow it, otherwise one by one.
    """
    samples = [sample_of(member.attempt) for member in members]
    forward = forward_of(members, places, rows) if len(members) > 1 and is_alike(samples) else None
    if forward is not None:
        _note(members, samples, forward)
        return {}
    raised = {i: _alone(member, place, rows) for i, (member, place) in enumerate(zip(members, places, strict=True))}
    return {i: error for i, error in raised.items() if error is not None}


@torch.no_grad()
def _note(members: Sequence[MemberState], samples: Sequence[Sample], forward: Forward) -> None:
    config, x = members[0].attempt.run.config, torch.stack([sample.x for sample in samples])
    with autocast(config, x.device):
        outputs = forward(x)
    found = losses(config.data.metric, outputs.flatten(0, 1), torch.cat([sample.y for sample in samples]))
    for member, *means in zip(members, *samples[0].means(found.view(len(members), -1)), strict=True):
        member.attempt.journal.note(member.step, *means)


def _alone(member: MemberState, place: int, rows: Rows) -> Exception | None:
    rows.write_to(member.module, place)
    return result_or_error(lambda: take_curve(member.attempt, member.module, step=member.step))
