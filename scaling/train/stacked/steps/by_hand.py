"""Forward and backward pass of the shipped families without autograd, which takes half the time of a small step.

Features and their gradients are (K, n, width). Each part stores what its backward pass needs, and writes the gradients
of its parameters to `found`, by their names in the module.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from scaling.internals.torch import gelu_backward, layer_norm_backward, relu_backward
from scaling.models.blocks import Block, Dense, LinearMap, Network
from scaling.train.stacked.layers import MemberValues, UnknownLayer, dropout_mask

Found = dict[str, Tensor]


class Part(Protocol):
    """A module's function for all members, and its derivative."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the output features."""

    def backward(self, g: Tensor) -> Tensor:
        """Return the gradient with respect to the input, given that with respect to the output."""


def _names(name: str) -> tuple[str, str]:
    """Return the names of a layer's weight and bias in the whole module."""
    return (f"{name}.weight", f"{name}.bias") if name else ("weight", "bias")


class _Linear:
    """A batched product; first: the gradient with respect to the input is not needed."""

    def __init__(self, name: str, members: MemberValues, found: Found) -> None:
        weight, bias = members.get(name, "weight"), members.get(name, "bias")
        assert weight is not None, "a linear layer has a weight"
        self._names, self._found, self.first = _names(name), found, False
        self._weight, self._across = weight, weight.transpose(1, 2)
        self._bias = None if bias is None else bias.unsqueeze(1)

    def forward(self, x: Tensor) -> Tensor:
        self._x = x
        return torch.bmm(x, self._across) if self._bias is None else torch.baddbmm(self._bias, x, self._across)

    def backward(self, g: Tensor) -> Tensor:
        self._found[self._names[0]] = torch.bmm(g.transpose(1, 2), self._x)
        if self._bias is not None:
            self._found[self._names[1]] = g.sum(1)
        return g if self.first else torch.bmm(g, self._weight)


class _LayerNorm:
    def __init__(self, norm: nn.LayerNorm, name: str, members: MemberValues, found: Found) -> None:
        gain, shift = members.get(name, "weight"), members.get(name, "bias")
        if len(norm.normalized_shape) != 1 or gain is None or shift is None:
            raise UnknownLayer("LayerNorm over several dimensions, or without gain and shift")
        self._names, self._found = _names(name), found
        self._gain, self._shift = gain.unsqueeze(1), shift.unsqueeze(1)
        self._shape, self._eps = list(norm.normalized_shape), norm.eps

    def forward(self, x: Tensor) -> Tensor:
        self._x, (self._out, *self._moments) = x, torch.native_layer_norm(x, self._shape, None, None, self._eps)
        return torch.addcmul(self._shift, self._out, self._gain)

    def backward(self, g: Tensor) -> Tensor:
        self._found[self._names[0]] = (g * self._out).sum(1)
        self._found[self._names[1]] = g.sum(1)
        return layer_norm_backward(g * self._gain, self._x, self._shape, *self._moments)


class _ReLU:
    """ReLU in place: its input is the output of a product, which is not needed again."""

    def forward(self, x: Tensor) -> Tensor:
        self._out = functional.relu_(x)
        return self._out

    def backward(self, g: Tensor) -> Tensor:
        return relu_backward(g, self._out)


class _GELU:
    def forward(self, x: Tensor) -> Tensor:
        self._x = x
        return functional.gelu(x)

    def backward(self, g: Tensor) -> Tensor:
        return gelu_backward(g, self._x)


class _Dropout:
    """Dropout with masks drawn from each member's own stream."""

    def __init__(self, dropout: nn.Dropout, generators: Sequence[torch.Generator]) -> None:
        self._share, self._generators = dropout.p, generators

    def forward(self, x: Tensor) -> Tensor:
        self._mask = dropout_mask(x, self._share, self._generators)
        return x * self._mask

    def backward(self, g: Tensor) -> Tensor:
        return g * self._mask


class _Sequence:
    def __init__(self, parts: Sequence[Part]) -> None:
        self.parts = parts

    def forward(self, x: Tensor) -> Tensor:
        for part in self.parts:
            x = part.forward(x)
        return x

    def backward(self, g: Tensor) -> Tensor:
        for part in reversed(self.parts):
            g = part.backward(g)
        return g


class _Block:
    def __init__(self, block: Block, branch: Part, after: Part) -> None:
        self._skip, self._scale, self._branch, self._after = block.skip, block.scale, branch, after

    def forward(self, z: Tensor) -> Tensor:
        out = self._branch.forward(z)
        return self._after.forward(torch.add(z, out, alpha=self._scale) if self._skip else out)

    def backward(self, g: Tensor) -> Tensor:
        g = self._after.backward(g)
        if not self._skip:
            return self._branch.backward(g)
        return g + self._branch.backward(g if self._scale == 1 else g * self._scale)


class _LinearMap:
    def __init__(self, head: _Linear, width: int) -> None:
        self._head, self._width, head.first = head, width, True

    def forward(self, x: Tensor) -> Tensor:
        return self._head.forward(x.flatten(2)[:, :, : self._width])

    def backward(self, g: Tensor) -> Tensor:
        return self._head.backward(g)


class _Network:
    def __init__(self, embed: _Linear, rest: Part) -> None:
        self._embed, self._rest, embed.first = embed, rest, True

    def forward(self, x: Tensor) -> Tensor:
        return self._rest.forward(self._embed.forward(x.flatten(2)))

    def backward(self, g: Tensor) -> Tensor:
        return self._embed.backward(self._rest.backward(g))


def part_of(module: nn.Module, members: MemberValues, found: Found, name: str = "") -> Part:
    """Return a module's forward and backward pass for all members; UnknownLayer if it has none here."""

    def child(key: str) -> Part:
        return part_of(cast("nn.Module", getattr(module, key)), members, found, f"{name}.{key}" if name else key)

    kind = type(module)  # exactly these classes: a user's subclass may compute something else
    if kind in (nn.Linear, Dense):
        return _Linear(name, members, found)
    if kind is nn.LayerNorm:
        return _LayerNorm(cast("nn.LayerNorm", module), name, members, found)
    if kind is nn.Sequential:
        return _Sequence([child(key) for key, _ in module.named_children()])
    if kind is Block:
        return _Block(cast("Block", module), child("branch"), child("after"))
    if kind is Network:
        return _Network(cast("_Linear", child("embed")), _Sequence([child("blocks"), child("head")]))
    if kind is LinearMap:
        return _LinearMap(cast("_Linear", child("head")), cast("LinearMap", module).width)
    return _elementwise(module, members)


def _elementwise(module: nn.Module, members: MemberValues) -> Part:
    kind = type(module)
    if kind is nn.ReLU:
        return _ReLU()
    if kind is nn.GELU and cast("nn.GELU", module).approximate == "none":
        return _GELU()
    if kind is nn.Identity or (kind is nn.Dropout and cast("nn.Dropout", module).p == 0):
        return _Sequence([])
    if kind is nn.Dropout:
        return _Dropout(cast("nn.Dropout", module), members.generators or ())
    raise UnknownLayer(kind.__name__)
