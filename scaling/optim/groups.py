"""Parameter groups: which weights decay, and which use a multiple of the run's learning rate."""

from __future__ import annotations

from typing import Any

from torch import nn

from scaling.models.mup import rate_shares
from scaling.models.parts import head_of, is_matrix


def parameter_groups(
    module: nn.Module, weight_decay: float, *, body_share: float = 1.0, sgd: bool = False
) -> list[dict[str, Any]]:
    """Return a module's parameters as an optimiser's groups, each in the order of the module; frozen ones are left out.

    weight_decay: of weight matrices, never of biases and norms. A group's key `share` is the factor of its learning
    rate: 1 for the head, `body_share` for all else, times that of the model's parametrisation (mup.py), by which weight
    decay is divided, so that its effect per step stays. sgd: the factors for SGD, whose steps are proportional to the
    gradient.
    """
    head = set(head_of(module).parameters()) if body_share != 1 else set(module.parameters())
    shares = rate_shares(module, sgd=sgd)
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for parameter in module.parameters():
        if not parameter.requires_grad:
            continue
        share = shares[parameter]
        decay = weight_decay / share if is_matrix(parameter) else 0.0
        groups.setdefault(((1.0 if parameter in head else body_share) * share, decay), []).append(parameter)
    ordered = sorted(groups.items(), key=lambda item: (-item[0][1], item[0][0]))  # groups that decay come first
    return [{"params": found, "weight_decay": decay, "share": share} for (share, decay), found in ordered]
