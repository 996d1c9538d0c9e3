"""The standard MLP, `S-L/Wi-m`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, ClassVar

from pydantic import NonNegativeInt, PositiveInt

from scaling.accounting import Layer, dense, norm
from scaling.models.choices import Activation, Norm, Place, Share

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class MLP:
    """A linear embedding, `depth` blocks z <- ReLU(W LN(z)) of `width` features, a linear head.

    `depth` does not count the embedding. `place` puts the norm before or after a block; `skip` adds z to a block's
    output; `dropout` follows the activation. Initialisation: see scaling/models/blocks.py.
    Source: "Scaling MLPs", arXiv 2306.13575.
    """

    family: ClassVar[str] = "mlp"

    width: PositiveInt
    depth: NonNegativeInt
    activation: Activation = "relu"
    norm: Norm = "layer"
    place: Place = "pre"
    skip: bool = False
    dropout: Share = 0.0
    bias: bool = True

    def layers(self, shape: tuple[int, ...], outputs: int) -> list[Layer]:
        """Count the layers for examples of `shape`."""
        block = [dense(self.width, self.width, bias=self.bias)]
        if self.norm != "none":
            block.append(norm(self.width))
        return [
            dense(prod(shape), self.width, bias=self.bias, role="embed", first=True),
            *(replace(layer, repeat=self.depth) for layer in block),
            dense(self.width, outputs, bias=self.bias, role="head"),
        ]

    def build(self, shape: tuple[int, ...], outputs: int, generator: torch.Generator) -> torch.nn.Module:
        """Make the module on the CPU, its weights drawn from `generator`."""
        from scaling.models.blocks import Network, Wiring, dense_layer, standard_block, zero_layer

        wiring = Wiring(self.activation, self.norm, self.place, self.skip, self.dropout, self.bias)
        embed = dense_layer(prod(shape), self.width, bias=self.bias, generator=generator)
        blocks = [standard_block(self.width, wiring, generator) for _ in range(self.depth)]
        return Network(embed, blocks, zero_layer(self.width, outputs, bias=self.bias))
