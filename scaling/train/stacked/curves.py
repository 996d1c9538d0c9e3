"""The learning curves of a stack's members: those whose turn it is are evaluated together."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from scaling.plan.identity import asked_precision
from scaling.train.errors import of_its_own
from scaling.train.losses import losses
from scaling.train.output.curve import Sample, curve_steps, is_alike, sample_of, take_curve
from scaling.train.stacked.evaluation import forward_of
from scaling.train.stacked.layers import Forward
from scaling.train.stacked.rows import Rows
from scaling.train.stacked.seat import Seat


def is_on_curve(seat: Seat) -> bool:
    """Say whether a member stands at a step of its learning curve that is not noted yet."""
    return seat.attempt.journal.last_noted < seat.step and seat.step in curve_steps(seat.attempt.run)


def take_curves(seats: Sequence[Seat], places: Sequence[int], rows: Rows) -> dict[int, Exception]:
    """Note the losses of members whose values lie in these rows; return what is raised for one alone, by its number.

    They are evaluated together where their modules and samples allow it, else one by one.
    """
    samples = [sample_of(seat.attempt) for seat in seats]
    forward = forward_of(seats, places, rows) if len(seats) > 1 and is_alike(samples) else None
    if forward is not None:
        _note(seats, samples, forward)
        return {}
    raised = {number: _alone(seat, place, rows) for number, (seat, place) in enumerate(zip(seats, places, strict=True))}
    return {number: error for number, error in raised.items() if error is not None}


@torch.no_grad()
def _note(seats: Sequence[Seat], samples: Sequence[Sample], forward: Forward) -> None:
    config, x = seats[0].attempt.run.config, torch.stack([sample.x for sample in samples])
    with torch.autocast(x.device.type, torch.bfloat16, enabled=asked_precision(config) == "bf16"):
        outputs = forward(x)
    found = losses(config.data.metric, outputs.flatten(0, 1), torch.cat([sample.y for sample in samples]))
    for seat, *means in zip(seats, *samples[0].means(found.view(len(seats), -1)), strict=True):
        seat.attempt.journal.note(seat.step, *means)


def _alone(seat: Seat, place: int, rows: Rows) -> Exception | None:
    rows.write_to(seat.module, place)
    return of_its_own(lambda: take_curve(seat.attempt, seat.module, step=seat.step))
