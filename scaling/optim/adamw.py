"""AdamW (Loshchilov & Hutter 2019, arXiv 1711.05101)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pydantic import NonNegativeFloat, PositiveFloat

from scaling.config import ShareBelowOne

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class AdamW:
    """AdamW in torch's fused form.

    weight_decay: multiplied by lr, for weight matrices, never for biases and norms; body_share: factor of the
    learning rate for all parameters except the head's.
    """

    name: ClassVar[str] = "adamw"
    stackable: ClassVar[bool] = True  # it has a form for stacks (scaling/train/stacked/optimisers.py)

    lr: PositiveFloat
    weight_decay: NonNegativeFloat = 0.0
    beta1: ShareBelowOne = 0.9
    beta2: ShareBelowOne = 0.999
    eps: PositiveFloat = 1e-8
    body_share: NonNegativeFloat = 1.0

    def build(self, module: torch.nn.Module) -> torch.optim.Optimizer:
        """Make the optimiser of a module's parameters."""
        from scaling.optim.fused import FusedAdamW
        from scaling.optim.groups import parameter_groups

        groups = parameter_groups(module, self.weight_decay, body_share=self.body_share)
        return FusedAdamW(groups, lr=self.lr, betas=(self.beta1, self.beta2), eps=self.eps)
