"""Losses: the training objective, and the reported scores."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from scaling.augment.mixed import Mixed, mixed_cross_entropy
from scaling.config import RunConfig
from scaling.data.base import Metric
from scaling.data.chance import mean_and_error
from scaling.models.parts import as_evaluated
from scaling.train.feed.resident import Examples
from scaling.train.precision import autocast
from scaling.train.sizes import EVALUATED_ROWS

Labels = Tensor | Mixed  # class indices or targets (n,), or those of mixed examples
Objective = Callable[[Tensor, Labels], Tensor]  # outputs (n, outputs), labels -> mean loss ()


@dataclass(frozen=True)
class Score:
    """Mean loss and error over a set of examples, with standard errors, which are None for a single example.

    The error is None for a regression."""

    loss: float
    loss_se: float | None
    error: float | None = None
    error_se: float | None = None


def objective(metric: Metric, *, label_smoothing: float) -> Objective:
    """Return the training objective: cross-entropy in nats (smoothed) or the mean squared error."""

    def squared_error(outputs: Tensor, y: Labels) -> Tensor:
        assert isinstance(y, Tensor), "augmentations that mix are for classes"
        return functional.mse_loss(outputs.squeeze(1), y)

    def cross_entropy(outputs: Tensor, y: Labels) -> Tensor:
        if isinstance(y, Mixed):
            return mixed_cross_entropy(outputs, y, label_smoothing)
        return functional.cross_entropy(outputs, y, label_smoothing=label_smoothing)

    return squared_error if metric == "squared_error" else cross_entropy


def losses(metric: Metric, outputs: Tensor, y: Tensor) -> Tensor:
    """Return the loss of each example (n,) in float64, as reported: unsmoothed cross-entropy or squared error."""
    if metric == "squared_error":
        return (outputs.double().squeeze(1) - y.double()).square()
    return functional.cross_entropy(outputs.float(), y, reduction="none").double()


@torch.no_grad()
def score(module: nn.Module, examples: Examples, config: RunConfig) -> Score:
    """Score a run's module in evaluation mode, and restore its mode."""
    metric, device = config.data.metric, examples.device
    loss, wrong, rows = [], [], EVALUATED_ROWS[device.type]
    with as_evaluated(module), autocast(config, device):
        for start in range(0, len(examples), rows):
            x, y = examples.between(start, start + rows)
            outputs = module(x)
            loss.append(losses(metric, outputs, y))
            if metric == "cross_entropy":
                wrong.append((outputs.argmax(1) != y).double())
    return Score(*mean_and_error(torch.cat(loss)), *(mean_and_error(torch.cat(wrong)) if wrong else ()))
