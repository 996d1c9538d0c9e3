"""The torch modules of the model families, and their initialisation.

Initialisation, drawn from the generator that is passed and from nothing else: weights and biases of a dense layer are
uniform within ± 1 / sqrt(inputs), norms start at gain 1 and shift 0, the head starts at zero. So at its start a model
predicts all classes alike, with the loss of chance whatever its width; a run that ends above it has diverged. With
`head_start=uniform` the head starts like every dense layer, as in the public code of arXiv 2306.13575; the body is the
same. Heads that stages put on a body start as the model says.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from scaling.models.choices import Activation, Norm, Wiring

ACTIVATIONS: dict[Activation, Callable[[], nn.Module]] = {"relu": nn.ReLU, "gelu": nn.GELU}
NORMS: dict[Norm, Callable[[int], nn.Module]] = {"layer": nn.LayerNorm, "batch": nn.BatchNorm1d, "none": nn.Identity}


class Dense(nn.Linear):
    """torch's linear layer without initialisation, which is left to the caller, so that nothing is drawn."""

    def reset_parameters(self) -> None:
        """Leave the entries unchanged."""


def dense_layer(inputs: int, outputs: int, *, bias: bool, generator: torch.Generator) -> nn.Linear:
    """Make a dense layer with entries uniform within ± 1 / sqrt(inputs)."""
    layer = Dense(inputs, outputs, bias=bias)
    bound = inputs**-0.5
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.uniform_(-bound, bound, generator=generator)
    return layer


def zero_layer(inputs: int, outputs: int, *, bias: bool) -> nn.Linear:
    """Make a dense layer that starts at zero."""
    layer = Dense(inputs, outputs, bias=bias)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.zero_()
    return layer


class Block(nn.Module):
    """z + branch(norm(z)) with the norm before, norm(z + branch(z)) with the norm after; without skip, no z +.

    scale: factor of the branch (see mup.py).
    """

    scale = 1.0

    def __init__(self, width: int, branch: list[nn.Module], wiring: Wiring) -> None:
        super().__init__()
        norm = [] if wiring.norm == "none" else [NORMS[wiring.norm](width)]
        self.branch = nn.Sequential(*norm, *branch) if wiring.place == "pre" else nn.Sequential(*branch)
        self.after = nn.Sequential(*norm) if wiring.place == "post" else nn.Sequential()
        self.skip = wiring.skip

    def forward(self, z: Tensor) -> Tensor:
        """Map features (n, width) to features (n, width)."""
        out = self.branch(z)
        if self.skip:
            out = z + out if self.scale == 1 else torch.add(z, out, alpha=self.scale)
        return self.after(out) if len(self.after) else out


def standard_block(width: int, wiring: Wiring, generator: torch.Generator) -> Block:
    """Make a block of the standard MLP: activation(W norm(z))."""
    linear = dense_layer(width, width, bias=wiring.bias, generator=generator)
    return Block(width, [linear, *_activate(wiring)], wiring)


def bottleneck_block(width: int, wiring: Wiring, generator: torch.Generator, *, expansion: int) -> Block:
    """Make an inverted bottleneck: Wc activation(We norm(z)), expanding to `expansion` x width and back."""
    make = partial(dense_layer, bias=wiring.bias, generator=generator)
    expand, contract = make(width, expansion * width), make(expansion * width, width)
    return Block(width, [expand, *_activate(wiring), contract], wiring)


def _activate(wiring: Wiring) -> list[nn.Module]:
    dropout = [nn.Dropout(wiring.dropout)] if wiring.dropout else []
    return [ACTIVATIONS[wiring.activation](), *dropout]


class Network(nn.Module):
    """Flatten, embed, blocks, head."""

    def __init__(self, embed: nn.Linear, blocks: list[Block], head: nn.Linear) -> None:
        super().__init__()
        self.embed, self.blocks, self.head = embed, nn.Sequential(*blocks), head

    def forward(self, x: Tensor) -> Tensor:
        """Map examples (n, *shape) to outputs (n, outputs)."""
        return self.head(self.blocks(self.embed(x.flatten(1))))


class LinearMap(nn.Module):
    """A linear map of the leading features, without bias, starting at zero."""

    def __init__(self, width: int, outputs: int) -> None:
        super().__init__()
        self.width = width
        self.head = zero_layer(width, outputs, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map examples (n, *shape) to outputs (n, outputs)."""
        return self.head(x.flatten(1)[:, : self.width])
