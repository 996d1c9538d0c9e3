"""The training loss of many members: the mean of each one's own batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from scaling.augment.mixed import Mixed
from scaling.data.base import Metric
from scaling.train.losses import Labels

StackedObjective = Callable[[Tensor, Labels], Tensor]  # outputs (K, n, outputs), labels (K, n) -> mean losses (K,)


def stacked_objective(metric: Metric, smoothing: Sequence[float], device: torch.device) -> StackedObjective:
    """Return the losses that are minimised, as `scaling.train.losses.objective` has them for one run.

    smoothing: of the labels, one a member. Of mixed labels, `share` is (K,).
    """
    if metric == "squared_error":
        return _squared_error
    smoothed = torch.tensor(smoothing, device=device) if any(smoothing) else None

    def cross_entropy(outputs: Tensor, y: Labels) -> Tensor:
        logs = functional.log_softmax(outputs.float(), dim=2)
        if isinstance(y, Mixed):
            loss = y.share * _missed(logs, y.first) + (1 - y.share) * _missed(logs, y.second)
        else:
            loss = _missed(logs, y)
        return loss if smoothed is None else (1 - smoothed) * loss - smoothed * logs.mean((1, 2))

    return cross_entropy


def _missed(logs: Tensor, y: Tensor) -> Tensor:
    """Return the mean of -log p(y) for each member, (K,)."""
    loss = functional.nll_loss(logs.flatten(0, 1), y.flatten(), reduction="none")
    return loss.view(y.shape).mean(1)


def _squared_error(outputs: Tensor, y: Labels) -> Tensor:
    assert isinstance(y, Tensor), "augmentations that mix are for classes"
    return (outputs.squeeze(2) - y).square().mean(1)
