"""The inverted-bottleneck MLP, `B-L/Wi-m`."""

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
class Bottleneck:
    """A linear embedding, `depth` blocks z <- z + Wc GELU(We LN(z)), a linear head without a norm before it.

    We expands `width` features to `expansion` x width, Wc contracts them again. `place` puts the norm before or after
    a block; `skip` adds z; `dropout` follows the activation. Initialisation: see scaling/models/blocks.py.
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
    dropout: Share = 0.0
    bias: bool = True

    def layers(self, shape: tuple[int, ...], outputs: int) -> list[Layer]:
        """Count the layers for examples of `shape`."""
        wide = self.expansion * self.width
        block = [dense(self.width, wide, bias=self.bias), dense(wide, self.width, bias=self.bias)]
        if self.norm != "none":
            block.append(norm(self.width))
        return [
            dense(prod(shape), self.width, bias=self.bias, role="embed", first=True),
            *(replace(layer, repeat=self.depth) for layer in block),
            dense(self.width, outputs, bias=self.bias, role="head"),
        ]

    def build(self, shape: tuple[int, ...], outputs: int, generator: torch.Generator) -> torch.nn.Module:
        """Make the module on the CPU, its weights drawn from `generator`."""
        from scaling.models.blocks import Network, Wiring, bottleneck_block, dense_layer, zero_layer

        wiring = Wiring(self.activation, self.norm, self.place, self.skip, self.dropout, self.bias)
        embed = dense_layer(prod(shape), self.width, bias=self.bias, generator=generator)
        blocks = [bottleneck_block(self.width, wiring, generator, expansion=self.expansion) for _ in range(self.depth)]
        return Network(embed, blocks, zero_layer(self.width, outputs, bias=self.bias))
