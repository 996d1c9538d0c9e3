"""The standard MLP, `S-L/Wi-m`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from scaling.accounting import Layer, dense
from scaling.models.stack import Stack

if TYPE_CHECKING:
    import torch

    from scaling.models.blocks import Block


@dataclass(frozen=True)
class MLP(Stack):
    """A linear embedding, `depth` blocks z <- ReLU(W LN(z)) of `width` features, a linear head.

    Source: "Scaling MLPs", arXiv 2306.13575.
    """

    family: ClassVar[str] = "mlp"

    def matrices(self) -> list[Layer]:
        """Count W."""
        return [dense(self.width, self.width, bias=self.bias)]

    def block(self, generator: torch.Generator) -> Block:
        """Make a block of the standard MLP."""
        from scaling.models.blocks import standard_block

        return standard_block(self.width, self, generator)
