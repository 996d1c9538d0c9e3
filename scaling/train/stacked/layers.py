"""The layers of the shipped families for many models at once: each matrix product becomes one batched product.

The first dimension of every tensor is the member: weights (K, outputs, inputs), features (K, n, width). A layer is a
function of features, which is rebuilt whenever the members change.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from scaling.models.blocks import Block, Dense, LinearMap, Network

Forward = Callable[[Tensor], Tensor]
Values = Mapping[str, Tensor]  # parameters and buffers by their name in the module, a row for each member
Maker = Callable[[nn.Module, str, "MemberValues"], Forward]


class UnknownLayer(TypeError):
    """A module without a stacked form."""


class MemberValues:
    """The parameters and buffers of the members, and the generators for their dropout, None in evaluation."""

    def __init__(self, values: Values, generators: Sequence[torch.Generator] | None) -> None:
        self.values, self.generators = values, generators

    def get(self, name: str, key: str) -> Tensor | None:
        """Return a parameter or buffer of all members, None if the module has none of this name."""
        return self.values.get(f"{name}.{key}" if name else key)


def stack_layers(module: nn.Module, members: MemberValues, name: str = "") -> Forward:
    """Return the forward pass of a module for all members; UnknownLayer if it has no stacked form."""
    maker = MAKERS.get(type(module))
    if maker is None:
        raise UnknownLayer(type(module).__name__)
    return maker(module, name, members)


def _child(module: nn.Module, name: str, members: MemberValues, key: str) -> Forward:
    return stack_layers(cast("nn.Module", getattr(module, key)), members, f"{name}.{key}" if name else key)


def _linear(module: nn.Module, name: str, members: MemberValues) -> Forward:
    weight, bias = members.get(name, "weight"), members.get(name, "bias")
    assert weight is not None, "a linear layer has a weight"
    # Each step makes its own views of leaves: for a view from before the optimiser's step, autograd would compute zeros
    # of the size of all parameters.
    if bias is None:
        return lambda x: torch.bmm(x, weight.transpose(1, 2))
    return lambda x: torch.baddbmm(bias.unsqueeze(1), x, weight.transpose(1, 2))


def _layer_norm(module: nn.Module, name: str, members: MemberValues) -> Forward:
    norm = cast("nn.LayerNorm", module)
    gain, shift = members.get(name, "weight"), members.get(name, "bias")
    if len(norm.normalized_shape) != 1 or gain is None or shift is None:
        raise UnknownLayer("LayerNorm over several dimensions, or without gain and shift")
    shape, eps = norm.normalized_shape, norm.eps
    return lambda x: torch.addcmul(shift.unsqueeze(1), functional.layer_norm(x, shape, eps=eps), gain.unsqueeze(1))


def _batch_norm(module: nn.Module, name: str, members: MemberValues) -> Forward:
    """Normalise each member over its own batch, in evaluation by its running statistics.

    The members are passed to torch as additional features.
    """
    norm = cast("nn.BatchNorm1d", module)
    mean, var, seen = (members.get(name, key) for key in ("running_mean", "running_var", "num_batches_tracked"))
    gain, shift = members.get(name, "weight"), members.get(name, "bias")
    if mean is None or var is None or seen is None or norm.momentum is None:
        raise UnknownLayer("BatchNorm1d without running statistics")

    momentum, eps, training = norm.momentum, norm.eps, members.generators is not None

    def forward(x: Tensor) -> Tensor:
        if training:
            seen.add_(1)
        flat = x.transpose(0, 1).reshape(x.shape[1], -1)
        own = [None if part is None else part.reshape(-1) for part in (gain, shift)]
        out = functional.batch_norm(
            flat, mean.view(-1), var.view(-1), own[0], own[1], training=training, momentum=momentum, eps=eps
        )
        return out.view(x.shape[1], x.shape[0], -1).transpose(0, 1)

    return forward


def _dropout(module: nn.Module, name: str, members: MemberValues) -> Forward:
    """Apply dropout in training, with masks drawn from each member's own stream."""
    share, generators = cast("nn.Dropout", module).p, members.generators
    if generators is None or share == 0:
        return lambda x: x
    return lambda x: x * dropout_mask(x, share, generators)


def dropout_mask(like: Tensor, share: float, generators: Sequence[torch.Generator]) -> Tensor:
    """Return the dropout mask for features (K, n, width), scaled by 1 / (1 - share); share: probability of a zero.

    Each member draws from its own stream. On a CPU the mask equals that of the member trained alone, which draws
    nothing for a share of 0 or 1.
    """
    mask, kept = torch.empty_like(like), 1 - share
    if kept == 0:
        return mask.zero_()
    for row, generator in zip(mask, generators, strict=True):
        row.bernoulli_(kept, generator=generator)
    return mask.div_(kept)


def _elementwise(module: nn.Module, name: str, members: MemberValues) -> Forward:
    return module


def _sequence(module: nn.Module, name: str, members: MemberValues) -> Forward:
    parts = [_child(module, name, members, key) for key, _ in module.named_children()]

    def forward(x: Tensor) -> Tensor:
        for part in parts:
            x = part(x)
        return x

    return forward


def _block(module: nn.Module, name: str, members: MemberValues) -> Forward:
    branch, after = _child(module, name, members, "branch"), _child(module, name, members, "after")
    skip, scale = cast("Block", module).skip, cast("Block", module).scale

    def forward(z: Tensor) -> Tensor:
        return after(torch.add(z, branch(z), alpha=scale) if skip else branch(z))

    return forward


def _network(module: nn.Module, name: str, members: MemberValues) -> Forward:
    embed, blocks, head = (_child(module, name, members, key) for key in ("embed", "blocks", "head"))
    return lambda x: head(blocks(embed(x.flatten(2))))


def _linear_map(module: nn.Module, name: str, members: MemberValues) -> Forward:
    head, width = _child(module, name, members, "head"), cast("LinearMap", module).width
    return lambda x: head(x.flatten(2)[:, :, :width])


MAKERS: dict[type, Maker] = {  # exactly these classes: a user's subclass may compute something else
    nn.Linear: _linear,
    Dense: _linear,
    nn.LayerNorm: _layer_norm,
    nn.BatchNorm1d: _batch_norm,
    nn.Dropout: _dropout,
    nn.ReLU: _elementwise,
    nn.GELU: _elementwise,
    nn.Identity: _elementwise,
    nn.Sequential: _sequence,
    Block: _block,
    Network: _network,
    LinearMap: _linear_map,
}
