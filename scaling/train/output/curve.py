"""Learning curves: the losses of a few examples at a few steps, written only to log.jsonl.

A point takes about as long as one or two steps. A run is bit for bit the same with and without them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from scaling.global_streams import own_streams
from scaling.models.parts import as_evaluated
from scaling.train.attempt import Attempt
from scaling.train.losses import losses
from scaling.train.precision import autocast
from scaling.train.streams import derive_seed

EXAMPLES = (128, 1024)  # least and most examples of the training and of the validation set; otherwise as in a batch


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
