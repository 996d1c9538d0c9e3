"""The training loss of many members: the mean of each one's own batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from scaling.augment.mixed import Mixed
from scaling.data.base import Metric
from scaling.train.losses import Labels

FEW = 32  # classes
StackedObjective = Callable[[Tensor, Labels], Tensor]  # outputs (K, n, outputs), labels (K, n) -> mean losses (K,)


def stacked_objective(metric: Metric, smoothing: Sequence[float], device: torch.device) -> StackedObjective:
    """Return the losses that are minimised, as `scaling.train.losses.objective` has them for one run.

    smoothing: of the labels, one a member. Of mixed labels, `share` is (K,).
    """
    if metric == "squared_error":
        return _squared_error
    smoothed = torch.tensor(smoothing, device=device) if any(smoothing) else None

    def cross_entropy(outputs: Tensor, y: Labels) -> Tensor:
        logs = log_probabilities(outputs)
        if isinstance(y, Mixed):
            loss = y.share * _missed(logs, y.first) + (1 - y.share) * _missed(logs, y.second)
        else:
            loss = _missed(logs, y)
        return loss if smoothed is None else (1 - smoothed) * loss - smoothed * logs.mean((1, 2))

    return cross_entropy


def log_probabilities(outputs: Tensor) -> Tensor:
    """Return log p of each class, (K, classes, n).

    On a CPU that takes a third of the time along columns where classes are few: rows of ten fill no vector register.
    """
    outputs = outputs.float()
    if outputs.device.type == "cpu" and outputs.shape[2] <= FEW:
        return functional.log_softmax(outputs.transpose(1, 2).contiguous(), dim=1)
    return functional.log_softmax(outputs, dim=2).transpose(1, 2)


def missed(logs: Tensor, y: Tensor) -> Tensor:
    """Return -log p(y) of each example, (K, n)."""
    if logs.is_contiguous():
        return functional.nll_loss(logs, y, reduction="none")
    rows = functional.nll_loss(logs.transpose(1, 2).flatten(0, 1), y.flatten(), reduction="none")
    return rows.view(y.shape)


def _missed(logs: Tensor, y: Tensor) -> Tensor:
    """Return the mean of -log p(y) for each member, (K,)."""
    return missed(logs, y).mean(1)


def _squared_error(outputs: Tensor, y: Labels) -> Tensor:
    assert isinstance(y, Tensor), "augmentations that mix are for classes"
    return (outputs.squeeze(2) - y).square().mean(1)
