"""Build the module of a config's model."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from scaling.models.users_model import check_family, check_users_model
from scaling.security.modules import is_shipped


def build_model(model: Any, shape: tuple[int, ...], outputs: int, generator: torch.Generator) -> nn.Module:
    """Build a module on the CPU, its weights drawn from a fresh generator; UserError for a user's wrong family."""
    if not is_shipped(type(model)):
        seed = generator.initial_seed()
        check_users_model(model, (shape, outputs), lambda: check_family(model, shape, outputs, seed=seed))
    module: nn.Module = model.build(shape, outputs, generator)
    return module
