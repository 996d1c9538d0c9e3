"""What the two MLP families share: an embedding, equal blocks, a head."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING

from scaling.accounting import Layer, dense, norm
from scaling.models.choices import Wiring

if TYPE_CHECKING:
    import torch

    from scaling.models.blocks import Block


class Stack(Wiring):
    """A linear embedding, `depth` blocks of `width` features, a linear head; a family is a dataclass of these keys."""

    width: int
    depth: int

    def matrices(self) -> list[Layer]:
        """Count the weight matrices of one block."""
        raise TypeError(f"{type(self).__name__} counts no block")

    def block(self, generator: torch.Generator) -> Block:
        """Make one block, its weights drawn from `generator`."""
        raise TypeError(f"{type(self).__name__} makes no block")

    def layers(self, shape: tuple[int, ...], outputs: int) -> list[Layer]:
        """Count the layers for examples of `shape`."""
        block = [*self.matrices(), *([] if self.norm == "none" else [norm(self.width)])]
        return [
            dense(prod(shape), self.width, bias=self.bias, role="embed", first=True),
            *(replace(layer, repeat=self.depth) for layer in block),
            dense(self.width, outputs, bias=self.bias, role="head"),
        ]

    def build(self, shape: tuple[int, ...], outputs: int, generator: torch.Generator) -> torch.nn.Module:
        """Make the module on the CPU, its weights drawn from `generator`."""
        from scaling.models.blocks import Network, dense_layer, zero_layer

        embed = dense_layer(prod(shape), self.width, bias=self.bias, generator=generator)
        blocks = [self.block(generator) for _ in range(self.depth)]
        if self.head_start == "zero":
            return Network(embed, blocks, zero_layer(self.width, outputs, bias=self.bias))
        return Network(embed, blocks, dense_layer(self.width, outputs, bias=self.bias, generator=generator))
