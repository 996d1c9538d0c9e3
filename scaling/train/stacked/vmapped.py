"""Any module for many models at once, by torch's vmap; where that cannot be the same, it is said and not done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from scaling.global_streams import kept_streams, stream_states
from scaling.train.stacked.layers import Forward

TRIED = 2  # examples of the trial
TOLERANCE = 1e-3  # of the trial's outputs against the module's own, in units of the largest of these


class NotStackable(TypeError):
    """A module that cannot be trained together with others; says why."""


def map_module(module: nn.Module, leaves: Mapping[str, Tensor], fixed: Mapping[str, Tensor]) -> Forward:
    """Return the function of a module for all members; leaves, fixed: trained and other values, a row for each.

    Its buffers change in place. It must draw nothing: the members have no random streams of their own inside vmap,
    which raises where a module draws from torch's.
    """

    def one(trained: dict[str, Tensor], other: dict[str, Tensor], x: Tensor) -> Any:
        return functional_call(module, {**trained, **other}, (x,))

    many = vmap(one, randomness="error")
    return lambda x: many(dict(leaves), dict(fixed), x)


def check_mapped(
    modules: Sequence[nn.Module], leaves: Mapping[str, Tensor], fixed: Mapping[str, Tensor], shape: tuple[int, ...]
) -> None:
    """Raise NotStackable where the members' modules, mapped, are not what each of them is by itself."""
    first = next(iter(leaves.values()))
    generator = torch.Generator().manual_seed(0)
    x = torch.randn((len(first), TRIED, *shape), generator=generator).to(first.device)
    copied = {name: value.clone() for name, value in fixed.items()}
    with kept_streams():
        before = stream_states([])
        try:
            found = map_module(modules[0], leaves, copied)(x)
            grads = torch.autograd.grad(found.sum(), list(leaves.values()), allow_unused=True)
        except Exception as error:
            text = " ".join(str(error).split())[:200]
            raise NotStackable(f"vmap of {type(modules[0]).__name__} fails ({type(error).__name__}: {text})") from error
        wanted = [_alone(module, rows) for module, rows in zip(modules[:2], x, strict=False)]
        after = stream_states([])
    name = type(modules[0]).__name__
    if _differ(before, after):
        raise NotStackable(f"{name} draws from global random streams, of which each member has its own")
    if any(grad is None for grad in grads):
        raise NotStackable(f"{name} has parameters that its output does not depend on")
    for rows, own in zip(found, wanted, strict=False):
        if rows.shape != own.shape or (rows - own).abs().max() > TOLERANCE * own.abs().max().clamp(min=TOLERANCE):
            raise NotStackable(f"{name} computes something else under vmap")


def _alone(module: nn.Module, x: Tensor) -> Tensor:
    """Return a module's outputs in training, its buffers as they were."""
    state = {name: value.clone() for name, value in module.state_dict().items()}
    try:
        with torch.no_grad():
            found: Tensor = module(x)
            return found
    finally:
        module.load_state_dict(state)


def _differ(before: dict[str, Any], after: dict[str, Any]) -> bool:
    same = before["random"] == after["random"] and before["numpy"] == after["numpy"]
    return not (same and torch.equal(before["torch"][0], after["torch"][0]))
