"""Any module for many models at once, by torch's vmap."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.func import functional_call, vmap

from scaling.train.stacked.layers import Forward


class NotStackable(TypeError):
    """A module that cannot be trained together with others; says why."""


def map_module(module: nn.Module, values: Mapping[str, Tensor]) -> Forward:
    """Return the function of a module for all members; values: of parameters and buffers by name, a row for each.

    Its buffers change in place. It must draw nothing: the members have no random streams of their own inside vmap,
    which raises where a module draws from torch's.
    """
    places = [  # a part that is used twice has its values once: torch would leave them in the module
        f"{name}.{key}" if name else key
        for name, part in module.named_modules()
        for key, _ in (*part.named_parameters(recurse=False), *part.named_buffers(recurse=False))
    ]
    given = {place: values[place] for place in places if place in values}

    def one(own: dict[str, Tensor], x: Tensor) -> Any:
        return functional_call(module, own, (x,), tie_weights=False)

    many = vmap(one, randomness="error")
    return lambda x: many(given, x)
