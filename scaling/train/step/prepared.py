"""One training step on a batch, prepared once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from scaling.train.losses import Labels


@dataclass(frozen=True)
class Step:
    """Augmentation, gradients, clipping, update and sum of losses; nothing in it waits for the device.

    loss: differentiable function of examples and labels; augment: draws from `generator`, None for no augmentation;
    clip: largest norm of the gradient, None for any; micro_batch: examples that pass through the model at a time;
    total (): float64 sum of the losses so far.
    """

    loss: Callable[[Tensor, Labels], Tensor]
    optimizer: torch.optim.Optimizer
    parameters: list[nn.Parameter]
    augment: Callable[[Tensor, Tensor, torch.Generator], tuple[Tensor, Any]] | None
    generator: torch.Generator
    clip: float | None
    micro_batch: int
    total: Tensor

    def __call__(self, x: Tensor, y: Labels) -> None:
        """Take one step on examples x (n, *shape) and their labels, at the learning rates of the optimiser's groups."""
        if self.augment is not None:
            assert isinstance(y, Tensor), "nothing is augmented twice"
            x, y = self.augment(x, y, self.generator)
        loss = self._gradients(x, y)
        if self.clip is not None:
            nn.utils.clip_grad_norm_(self.parameters, self.clip)
        self.optimizer.step()
        for parameter in self.parameters:
            parameter.grad = None
        self.total.add_(loss)

    def _gradients(self, x: Tensor, y: Labels) -> Tensor:
        """Compute the gradients of a batch and return its mean loss (), detached."""
        if len(x) <= self.micro_batch:
            loss = self.loss(x, y)
            loss.backward()
            return loss.detach()
        total = torch.zeros((), device=x.device)
        for part, labels in zip(x.split(self.micro_batch), y.split(self.micro_batch), strict=True):
            loss = self.loss(part, labels) * (len(part) / len(x))
            loss.backward()
            total += loss.detach()
        return total
