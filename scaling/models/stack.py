"""The common base of the two MLP families: an embedding, equal blocks, a head."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING

from scaling.accounting import Layer, dense, norm
from scaling.errors import UserError
from scaling.models.choices import Wiring

if TYPE_CHECKING:
    import torch

    from scaling.models.blocks import Block


class Stack(Wiring):
    """A linear embedding, `depth` blocks of `width` features, and a linear head; families are dataclasses."""

    def __post_init__(self) -> None:
        _check_bases(self)

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
            head = zero_layer(self.width, outputs, bias=self.bias)
        else:
            head = dense_layer(self.width, outputs, bias=self.bias, generator=generator)
        network = Network(embed, blocks, head)
        if self.param == "mup":
            from scaling.models.mup import parametrise

            assert self.base_width is not None, "checked when the model was read"
            parametrise(network, self.width / self.base_width, self.depth / (self.base_depth or self.depth or 1))
        return network


def _check_bases(model: Stack) -> None:
    """Raise UserError if the base width for mup is missing, or a base width or depth is given that is not used."""
    given = {name: getattr(model, name) for name in ("base_width", "base_depth")}
    if model.param == "mup" and given["base_width"] is None:
        raise UserError(
            "found model.param=mup without model.base_width; wanted the width at which the learning rate was tuned, "
            "where mup and standard agree; give it"
        )
    if model.param == "mup" and given["base_depth"] is not None and not model.skip:
        raise UserError(
            "found model.base_depth with model.skip=false; wanted blocks that add to their input, whose branches depth "
            "scales; drop it, or set model.skip=true"
        )
    for name, value in given.items():
        if model.param == "standard" and value is not None:
            raise UserError(
                f"found model.{name}={value} with model.param=standard, which reads none; drop it, or take mup"
            )
