"""The parts of a module: its weight matrices and its head, and which are in training mode."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from scaling.errors import UserError
from scaling.models.own_state import restores


def is_matrix(parameter: nn.Parameter) -> bool:
    """Return whether a parameter is a weight matrix or kernel; biases, gains and shifts have one dimension."""
    return parameter.ndim >= 2


def with_matrices(module: nn.Module) -> dict[str, nn.Module]:
    """Return the submodules that directly have weight matrices, by name, in the order in which they were added."""
    return {
        name: part
        for name, part in module.named_modules()
        if any(is_matrix(parameter) for parameter in part.parameters(recurse=False))
    }


def head_of(module: nn.Module) -> nn.Module:
    """Return the head: the submodule that `head_name` names, or `head`, or the last one with a weight matrix."""
    name = getattr(module, "head_name", None) or ("head" if hasattr(module, "head") else None)
    if name is not None:
        return module.get_submodule(name)
    matrices = with_matrices(module)
    if not matrices:
        raise UserError(f"found no weight matrix in {type(module).__name__}; wanted a layer that is its head; add one")
    return list(matrices.values())[-1]


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
