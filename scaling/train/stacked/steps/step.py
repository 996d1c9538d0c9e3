"""One training step of all members of a stack."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from scaling.augment.mixed import Mixed
from scaling.train.losses import Labels
from scaling.train.stacked.augmentation import StackedAugment
from scaling.train.stacked.optimisers import StackedOptimiser
from scaling.train.stacked.rows import Rows
from scaling.train.stacked.steps.gradients import Gradients

CLIP_EPS = 1e-6  # as in torch.nn.utils.clip_grad_norm_


@dataclass(frozen=True)
class StackedStep:
    """Augmentation, gradients, clipping, update and sums of losses; nothing in it waits for the device.

    of_batch: losses and gradients of a batch or a part of it; clip (K,): largest norms of the members' gradients, None
    for no clipping; micro_batch: examples of a member that pass through its model at a time; totals (K,): float64 sums
    of the members' losses so far.
    """

    of_batch: Gradients
    augment: StackedAugment | None
    clip: Tensor | None
    micro_batch: int
    rows: Rows
    optimiser: StackedOptimiser
    totals: Tensor
    gradients: Tensor

    def __call__(self, x: Tensor, y: Tensor, factors: Tensor) -> None:
        """Take one step on examples x (K, n, *shape) and y (K, n); factors (T, K, 1): see `StackedOptimiser.table`."""
        labels: Labels = y
        if self.augment is not None:
            x, labels = self.augment(x, y)
        losses = self._take_gradients(x, labels)
        if self.clip is not None:
            norms = self.gradients.norm(dim=1)
            self.gradients.mul_((self.clip / (norms + CLIP_EPS)).clamp_(max=1.0).unsqueeze(1))
        self.optimiser.step(self.rows.trained, self.gradients, factors)
        self.totals.add_(losses)

    def _take_gradients(self, x: Tensor, y: Labels) -> Tensor:
        """Write the members' gradients to `gradients` (K, width), and return their mean losses (K,), detached."""
        size, batch = self.micro_batch, x.shape[1]
        if batch <= size:
            total, summed = self.of_batch(x, y)
        else:
            total, summed = torch.zeros(len(x), device=x.device), list[Tensor]()
            for start in range(0, batch, size):
                part = x[:, start : start + size]
                losses, gradients = self.of_batch(part, _cut(y, start, start + size))
                share = part.shape[1] / batch
                found = [gradient * share for gradient in gradients]
                summed = [a + b for a, b in zip(summed, found, strict=True)] if summed else found
                total += losses * share
        torch.cat([each.reshape(len(x), -1) for each in summed], dim=1, out=self.gradients)
        return total


def _cut(y: Labels, start: int, stop: int) -> Labels:
    """Return the labels of a part of each member's batch."""
    if isinstance(y, Mixed):
        return Mixed(y.first[:, start:stop], y.second[:, start:stop], y.share)
    return y[:, start:stop]
