"""The inverted-bottleneck MLP, `B-L/Wi-m`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pydantic import NonNegativeInt, PositiveInt

from scaling.accounting import Layer, dense
from scaling.config import ShareBelowOne
from scaling.models.choices import Activation, HeadStart, Norm, Parametrisation, Place
from scaling.models.stack import Stack, check_bases

if TYPE_CHECKING:
    import torch

    from scaling.models.blocks import Block


@dataclass(frozen=True)
class Bottleneck(Stack):
    """A linear embedding, `depth` blocks z <- z + Wc GELU(We LN(z)), a linear head without a norm before it.

    We expands `width` features to `expansion` x width, Wc contracts them again. `place` puts the norm before or after
    a block; `skip` adds z; `dropout` follows the activation; `head_start` says how the head starts
    (scaling/models/blocks.py), `param` how starts and rates move with width and depth (scaling/models/mup.py).
    Source: "Scaling MLPs", arXiv 2306.13575.
    """

    family: ClassVar[str] = "bottleneck"

    width: PositiveInt
    depth: NonNegativeInt
    expansion: PositiveInt = 4
    activation: Activation = "gelu"
    norm: Norm = "layer"
    place: Place = "pre"
    skip: bool = True
    dropout: ShareBelowOne = 0.0
    bias: bool = True
    head_start: HeadStart = "zero"
    param: Parametrisation = "standard"
    base_width: PositiveInt | None = None
    base_depth: PositiveInt | None = None

    def __post_init__(self) -> None:
        check_bases(self)

    def matrices(self) -> list[Layer]:
        """Count We and Wc."""
        wide = self.expansion * self.width
        return [dense(self.width, wide, bias=self.bias), dense(wide, self.width, bias=self.bias)]

    def block(self, generator: torch.Generator) -> Block:
        """Make an inverted bottleneck."""
        from scaling.models.blocks import bottleneck_block

        return bottleneck_block(self.width, self, generator, expansion=self.expansion)
