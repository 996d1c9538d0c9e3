"""LION (Chen et al. 2023, arXiv 2302.06675, algorithm 2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pydantic import NonNegativeFloat, PositiveFloat

from scaling.config import ShareBelowOne

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Lion:
    """LION: a step of size lr in the sign of the momentum.

    weight_decay: multiplied by lr, for weight matrices, never for biases and norms; body_share: factor of the
    learning rate for all parameters except the head's.
    """

    name: ClassVar[str] = "lion"
    stackable: ClassVar[bool] = True  # it has a form for stacks (scaling/train/stacked/optimisers.py)

    lr: PositiveFloat
    weight_decay: NonNegativeFloat = 0.0
    beta1: ShareBelowOne = 0.9
    beta2: ShareBelowOne = 0.99
    body_share: NonNegativeFloat = 1.0

    def build(self, module: torch.nn.Module) -> torch.optim.Optimizer:
        """Make the optimiser of a module's parameters."""
        from scaling.optim.foreach import LionSteps
        from scaling.optim.groups import parameter_groups

        return LionSteps(
            parameter_groups(module, self.weight_decay, body_share=self.body_share),
            lr=self.lr,
            betas=(self.beta1, self.beta2),
        )
