"""Which parameters decay: the weight matrices do, biases and norms do not."""

from __future__ import annotations

from typing import Any

from torch import nn


def decay_groups(module: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Return a module's parameters as an optimiser's groups: matrices with `weight_decay`, all others without."""
    if not weight_decay:
        return [{"params": list(module.parameters()), "weight_decay": 0.0}]
    matrices = [p for p in module.parameters() if p.ndim >= 2]
    others = [p for p in module.parameters() if p.ndim < 2]
    groups = [{"params": matrices, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]
