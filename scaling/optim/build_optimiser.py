"""Build the optimiser of a run."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from scaling.optim.averaged import to_train
from scaling.optim.users_optimiser import check_trains_all, check_users_optimiser, keep_shares
from scaling.security.modules import is_shipped


def build_optimiser(setting: Any, module: nn.Module) -> torch.optim.Optimizer:
    """Return the optimiser of a module's parameters; UserError for a user's that cannot resume, or does not train all.

    setting: the config's; a group's key `share` is its share of the run's learning rate (see scaling/optim/groups.py).
    """
    if is_shipped(type(setting)):
        optimiser: torch.optim.Optimizer = setting.build(module)
        return optimiser
    check_users_optimiser(setting)
    optimiser = setting.build(module)
    check_trains_all(setting, optimiser, module)
    keep_shares(optimiser, setting.lr)
    to_train(optimiser)
    return optimiser
