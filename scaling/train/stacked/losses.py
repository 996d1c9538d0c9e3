"""The training losses of all members, each the mean over its own batch."""

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
StackedSlopes = Callable[[Tensor, Labels], tuple[Tensor, Tensor]]  # the same -> these losses, their derivatives


def stacked_objective(metric: Metric, smoothing: Sequence[float], device: torch.device) -> StackedObjective:
    """Return the training objective for all members; see `scaling.train.losses.objective` for one run.

    smoothing: label smoothing of each member. `share` of mixed labels is (K,).
    """
    if metric == "squared_error":
        return _squared_error
    smoothed = torch.tensor(smoothing, device=device) if any(smoothing) else None
    return lambda outputs, y: _cross_entropy(log_probabilities(outputs), y, smoothed)


def stacked_slopes(metric: Metric, smoothing: Sequence[float], device: torch.device) -> StackedSlopes:
    """Return the function for the same losses and their derivatives with respect to the outputs."""
    if metric == "squared_error":
        return _squared_error_slopes
    smoothed = torch.tensor(smoothing, device=device) if any(smoothing) else None
    hit = torch.tensor(smoothing, device=device).sub(1).view(-1, 1, 1)  # added at the label's class

    def slopes(outputs: Tensor, y: Labels) -> tuple[Tensor, Tensor]:
        logs = log_probabilities(outputs)
        found, (members, classes, n) = logs.exp(), logs.shape
        for labels, share in _parts(y):
            each = hit if share is None else hit * share.view(-1, 1, 1)
            found.scatter_add_(1, labels.unsqueeze(1), each.expand(members, 1, n))
        if smoothed is not None:
            found.sub_(smoothed.view(-1, 1, 1) / classes)
        return _cross_entropy(logs, y, smoothed), found.div_(n).transpose(1, 2)

    return slopes


def _parts(y: Labels) -> list[tuple[Tensor, Tensor | None]]:
    """Return labels (K, n) with their shares (K,) of the loss, None for a share of 1."""
    return [(y.first, y.share), (y.second, 1 - y.share)] if isinstance(y, Mixed) else [(y, None)]


def _cross_entropy(logs: Tensor, y: Labels, smoothed: Tensor | None) -> Tensor:
    """Return the members' mean losses (K,) of log p (K, classes, n)."""
    if isinstance(y, Mixed):
        loss = y.share * missed(logs, y.first).mean(1) + (1 - y.share) * missed(logs, y.second).mean(1)
    else:
        loss = missed(logs, y).mean(1)
    return loss if smoothed is None else (1 - smoothed) * loss - smoothed * logs.mean((1, 2))


def log_probabilities(outputs: Tensor) -> Tensor:
    """Return log p of each class, (K, classes, n).

    For few classes on a CPU, columns take a third of the time, because rows of ten do not fill a vector register.
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


def _squared_error(outputs: Tensor, y: Labels) -> Tensor:
    assert isinstance(y, Tensor), "augmentations that mix are for classes"
    return (outputs.squeeze(2) - y).square().mean(1)


def _squared_error_slopes(outputs: Tensor, y: Labels) -> tuple[Tensor, Tensor]:
    assert isinstance(y, Tensor), "augmentations that mix are for classes"
    missed_by = outputs.squeeze(2) - y
    return missed_by.square().mean(1), (missed_by * (2 / y.shape[1])).unsqueeze(2)
