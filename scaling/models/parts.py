"""The parts of a module that others have to find: its weight matrices and its head."""

from __future__ import annotations

from torch import nn

from scaling.errors import UserError


def is_matrix(parameter: nn.Parameter) -> bool:
    """Say whether a parameter is a weight matrix or kernel; biases, gains and shifts have one dimension."""
    return parameter.ndim >= 2


def with_matrices(module: nn.Module) -> dict[str, nn.Module]:
    """Return the submodules that hold weight matrices of their own, by name, in the order in which they were added."""
    return {
        name: part
        for name, part in module.named_modules()
        if any(is_matrix(parameter) for parameter in part.parameters(recurse=False))
    }


def head_of(module: nn.Module) -> nn.Module:
    """Return the readout: the submodule that `head_name` names, or `head`, or the last that holds a weight matrix."""
    name = getattr(module, "head_name", None) or ("head" if hasattr(module, "head") else None)
    if name is not None:
        return module.get_submodule(name)
    matrices = with_matrices(module)
    if not matrices:
        raise UserError(f"found no weight matrix in {type(module).__name__}; wanted a layer to read out with; add one")
    return list(matrices.values())[-1]
