"""The standard MLP, `S-L/Wi-m`."""

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
class MLP(Stack):
    """A linear embedding, `depth` blocks z <- ReLU(W LN(z)) of `width` features, a linear head.

    `depth` does not count the embedding. `place` puts the norm before or after a block; `skip` adds z to a block's
    output; `dropout` follows the activation; `head_start` says how the head starts (scaling/models/blocks.py), `param`
    how starts and rates move with width and depth (scaling/models/mup.py).
    Source: "Scaling MLPs", arXiv 2306.13575.
    """

    family: ClassVar[str] = "mlp"

    width: PositiveInt
    depth: NonNegativeInt
    activation: Activation = "relu"
    norm: Norm = "layer"
    place: Place = "pre"
    skip: bool = False
    dropout: ShareBelowOne = 0.0
    bias: bool = True
    head_start: HeadStart = "zero"
    param: Parametrisation = "standard"
    base_width: PositiveInt | None = None
    base_depth: PositiveInt | None = None

    def __post_init__(self) -> None:
        check_bases(self)

    def matrices(self) -> list[Layer]:
        """Count W."""
        return [dense(self.width, self.width, bias=self.bias)]

    def block(self, generator: torch.Generator) -> Block:
        """Make a block of the standard MLP."""
        from scaling.models.blocks import standard_block

        return standard_block(self.width, self, generator)
