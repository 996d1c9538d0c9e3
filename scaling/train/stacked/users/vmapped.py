"""Any module for many models at once, by torch's vmap."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.func import functional_call, vmap

from scaling.train.stacked.layers import Forward


class NotStackable(TypeError):
    """A module, optimiser or augmentation that cannot be stacked, with the reason."""


def map_module(module: nn.Module, values: Mapping[str, Tensor]) -> Forward:
    """Return the forward pass of a module for all members; values: parameters and buffers by name, (K, …).

    Buffers are changed in place. The module must not draw random numbers, because members have no random streams of
    their own inside vmap, which raises an error if a module draws from torch's.
    """
    places = [  # under all names of a shared part, or torch would use the module's own values
        f"{name}.{key}" if name else key
        for name, part in module.named_modules()
        for key, _ in (*part.named_parameters(recurse=False), *part.named_buffers(recurse=False))
    ]
    given = {place: values[place] for place in places if place in values}

    def one(own: dict[str, Tensor], x: Tensor) -> Any:
        return functional_call(module, own, (x,), tie_weights=False)

    many = vmap(one, randomness="error")
    return lambda x: many(given, x)
