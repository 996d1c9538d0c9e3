"""Learning curves: the losses of a few examples at a few steps, written only to log.jsonl.

A point takes about as long as one or two steps. A run is bit for bit the same with and without them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor, nn

from scaling.global_streams import own_streams
from scaling.models.parts import as_evaluated
from scaling.plan.planned import PlannedRun
from scaling.train.attempt import Attempt
from scaling.train.loop import CHECK_STEPS
from scaling.train.losses import losses
from scaling.train.precision import autocast
from scaling.train.streams import derive_seed

ENOUGH = 3  # milestones: a run that has so many needs no learning curve
OFTEN = 512  # step from which on there are two points for each doubling of the steps; before it there is one
EXAMPLES = (128, 1024)  # least and most examples of the training and of the validation set; otherwise as in a batch


def curve_steps(run: PlannedRun) -> tuple[int, ...]:
    """Return the steps of a run's learning curve in ascending order, the run's last step included.

    At all the others the loop checks anyway that the loss is finite. () for a run with ENOUGH milestones, and for one
    so short that the curve would have only two points.
    """
    return () if len(run.quantities.milestones) >= ENOUGH else _steps_up_to(run.quantities.steps)


@cache
def _steps_up_to(steps: int) -> tuple[int, ...]:
    doubled = [CHECK_STEPS << k for k in range(max(0, (steps - 1) // CHECK_STEPS).bit_length())]
    between = [step * 3 // 2 for step in doubled if step >= OFTEN]
    before = sorted(step for step in (*doubled, *between) if step < steps)
    return (*before, steps) if len(before) > 1 else ()


@dataclass(frozen=True)
class Sample:
    """Examples of a run's training set (the first `n_train`), followed by examples of its validation set."""

    x: Tensor
    y: Tensor
    n_train: int

    def means(self, losses: Tensor) -> tuple[list[float], list[float]]:
        """Return each model's mean training and validation loss, from the losses (models, n) of the examples."""
        return losses[:, : self.n_train].mean(1).tolist(), losses[:, self.n_train :].mean(1).tolist()


def sample_of(attempt: Attempt) -> Sample:
    """Return the examples for a run's learning curve, the same at every step."""
    least, most = EXAMPLES
    n = min(max(attempt.run.quantities.batch, least), most)
    train, validation = attempt.sets.train.between(0, n), attempt.sets.validation.between(0, n)
    x, y = (torch.cat(both) for both in zip(train, validation, strict=True))
    return Sample(x, y, len(train[1]))


@torch.no_grad()
def take_curve(attempt: Attempt, module: nn.Module, *, step: int) -> None:
    """Log the losses of a module at a step of its run's learning curve, and restore its mode."""
    run, sample = attempt.run, sample_of(attempt)
    with (
        as_evaluated(module),
        own_streams(derive_seed(run.config.seed, "evaluation")),
        autocast(run.config, sample.x.device),
    ):
        found = losses(run.config.data.metric, module(sample.x), sample.y)
    [train_loss], [val_loss] = sample.means(found[None])
    attempt.journal.note(step, train_loss, val_loss)


def is_alike(samples: Sequence[Sample]) -> bool:
    """Return whether samples have the same sizes, so that models can be evaluated on them together."""
    return len({(sample.x.shape, sample.n_train) for sample in samples}) == 1
