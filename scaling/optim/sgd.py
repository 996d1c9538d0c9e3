"""Stochastic gradient descent with momentum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pydantic import NonNegativeFloat, PositiveFloat

from scaling.config import ShareBelowOne
from scaling.errors import UserError

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class SGD:
    """SGD, fused.

    weight_decay: decoupled as in AdamW, multiplied by lr and outside the momentum, for weight matrices, never for
    biases and norms; body_share: share of the learning rate that all but the head take.
    """

    name: ClassVar[str] = "sgd"
    stackable: ClassVar[bool] = True  # it has a form for stacks (scaling/train/stacked/optimisers.py)

    lr: PositiveFloat
    momentum: ShareBelowOne = 0.0
    nesterov: bool = False
    weight_decay: NonNegativeFloat = 0.0
    body_share: NonNegativeFloat = 1.0

    def __post_init__(self) -> None:
        if self.nesterov and not self.momentum:
            raise UserError("found optim.nesterov without momentum; wanted both; set optim.momentum")

    def build(self, module: torch.nn.Module) -> torch.optim.Optimizer:
        """Make the optimiser of a module's parameters."""
        from scaling.optim.foreach import DecoupledSGD
        from scaling.optim.groups import parameter_groups

        return DecoupledSGD(
            parameter_groups(module, self.weight_decay, body_share=self.body_share, sgd=True),
            lr=self.lr,
            momentum=self.momentum,
            nesterov=self.nesterov,
        )
