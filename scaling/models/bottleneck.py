"""The inverted-bottleneck MLP, `B-L/Wi-m`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pydantic import PositiveInt

from scaling.accounting import Layer, dense
from scaling.models.choices import Activation
from scaling.models.stack import Stack

if TYPE_CHECKING:
    import torch

    from scaling.models.blocks import Block


@dataclass(frozen=True)
class Bottleneck(Stack):
    """A linear embedding, `depth` blocks z <- z + Wc GELU(We LN(z)), a linear head without a norm before it.

    We expands `width` features to `expansion` x width, Wc contracts them again.
    Source: "Scaling MLPs", arXiv 2306.13575.
    """

    family: ClassVar[str] = "bottleneck"

    activation: Activation = "gelu"
    skip: bool = True
    expansion: PositiveInt = 4

    def matrices(self) -> list[Layer]:
        """Count We and Wc."""
        wide = self.expansion * self.width
        return [dense(self.width, wide, bias=self.bias), dense(wide, self.width, bias=self.bias)]

    def block(self, generator: torch.Generator) -> Block:
        """Make an inverted bottleneck."""
        from scaling.models.blocks import bottleneck_block

        return bottleneck_block(self.width, self, generator, expansion=self.expansion)
