"""The parts of a module: its weight matrices, its head and its dropout, and which are in training mode."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.nn.utils.parametrize import ParametrizationList

from scaling.errors import UserError
from scaling.models.module_state import restores

DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)

ANY = "any"  # shape of a tensor that a lazy layer has not made yet


def is_matrix(parameter: nn.Parameter) -> bool:
    """Return whether a parameter is a weight matrix or kernel; biases, gains and shifts have one dimension."""
    return parameter.ndim >= 2


def own_parameters(part: nn.Module) -> list[nn.Parameter]:
    """Return the parameters that a module has itself, and those that its parametrizations make its weights of."""
    if isinstance(part, ParametrizationList):
        return []
    made_of = getattr(part, "parametrizations", None)
    return [*part.parameters(recurse=False), *(made_of.parameters() if isinstance(made_of, nn.ModuleDict) else ())]


def with_matrices(module: nn.Module) -> dict[str, nn.Module]:
    """Return the submodules that directly have weight matrices, by name, in the order in which they were added."""
    return {name: part for name, part in module.named_modules() if any(map(is_matrix, own_parameters(part)))}


def head_of(module: nn.Module) -> nn.Module:
    """Return the head: the submodule that `head_name` names, or `head`, or the last one with a weight matrix."""
    name = getattr(module, "head_name", None) or ("head" if hasattr(module, "head") else None)
    if name is not None:
        return module.get_submodule(name)
    matrices = with_matrices(module)
    if not matrices:
        raise UserError(f"found no weight matrix in {type(module).__name__}; wanted a layer that is its head; add one")
    return list(matrices.values())[-1]


def shape_difference(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> tuple[str, Any, Any] | None:
    """Return the first name under which two states have tensors of different shapes, and both shapes.

    "none" is the shape of a tensor that a state lacks; None if all shapes are equal. A tensor of a lazy layer that has
    seen no batch takes any shape.
    """
    shapes, others = (
        {
            name: ANY if is_lazy(value) else tuple(value.shape)
            for name, value in state.items()
            if isinstance(value, Tensor)
        }
        for state in (found, wanted)
    )
    for name in sorted(shapes.keys() | others.keys()):
        if ANY not in (shapes.get(name), others.get(name)) and shapes.get(name) != others.get(name):
            return name, shapes.get(name, "none"), others.get(name, "none")
    return None


def has_dropout(module: nn.Module) -> bool:
    """Return whether a module draws dropout in training, as far as torch's own layers show."""
    return any(isinstance(part, DROPOUTS) and part.p > 0 for part in module.modules())


@contextmanager
def as_evaluated(*modules: nn.Module) -> Iterator[None]:
    """Put modules into evaluation mode for the block; afterwards restore the mode of each part.

    Other changes by the evaluation, such as a count of calls, are undone as well, so that milestones do not affect
    training. `train` is called first, because it may undo effects of `eval`, such as merged low-rank updates.
    """
    modes = {part: part.training for module in modules for part in module.modules()}
    given_back = restores(list(modes))
    for module in modules:
        module.eval()
    try:
        yield
    finally:
        for module in modules:
            module.train(modes[module])
        for part, mode in modes.items():
            if part.training != mode:
                part.training = mode
        with torch.no_grad():
            for restore in given_back:
                restore()
