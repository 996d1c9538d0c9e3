"""The gradients of the members' batches: by hand for the layers of by_hand.py, otherwise by autograd."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from scaling.train.losses import Labels
from scaling.train.stacked.layers import Forward, MemberValues, UnknownLayer
from scaling.train.stacked.losses import StackedObjective, StackedSlopes
from scaling.train.stacked.rows import Rows
from scaling.train.stacked.steps.by_hand import Found, part_of

# x (K, n, *shape), labels -> mean losses (K,), detached, and the gradients of the columns (K, *shape), in their order.
Gradients = Callable[[Tensor, Labels], tuple[Tensor, list[Tensor]]]


def gradients_by_hand(
    module: nn.Module, rows: Rows, generators: Sequence[torch.Generator], slopes: StackedSlopes
) -> Gradients | None:
    """Return the gradients of a module by by_hand.py, None if it has other layers; generators: for dropout."""
    found: Found = {}
    values = {name: value.detach() for name, value in rows.values.items()}
    try:
        part = part_of(module, MemberValues(values, generators), found)
    except UnknownLayer:
        return None
    names = [column.name for column in rows.layout.columns]

    def gradients(x: Tensor, y: Labels) -> tuple[Tensor, list[Tensor]]:
        losses, slope = slopes(part.forward(x), y)
        part.backward(slope)
        return losses, [found[name] for name in names]

    return gradients


def gradients_by_autograd(forward: Forward, rows: Rows, measure: StackedObjective, *, bf16: bool) -> Gradients:
    """Return the gradients of any forward pass by autograd."""
    leaves, kind = list(rows.leaves.values()), rows.trained.device.type

    def gradients(x: Tensor, y: Labels) -> tuple[Tensor, list[Tensor]]:
        with torch.autocast(kind, torch.bfloat16, enabled=bf16):
            losses = measure(forward(x), y)
        return losses.detach(), list(torch.autograd.grad(losses.sum(), leaves))

    return gradients
