"""Users' optimisers: check once a process that their state is in their state_dict, and keep their relative rates."""

from __future__ import annotations

from copy import deepcopy
from functools import partial
from typing import Any

import torch
from torch import nn

from scaling.errors import UserError, check_once
from scaling.global_streams import own_streams
from scaling.security.modules import path_of

SIZES = (3, 4, 2)  # numbers of features, of the network on which an optimiser is tried


def keep_shares(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Note in each group of a user's optimiser its share of the run's learning rate `lr`, which schedules change."""
    for group in optimizer.param_groups:
        if "lr" in group:
            group.setdefault("share", float(group["lr"]) / lr)


def check_users_optimiser(setting: Any) -> None:
    """Raise UserError if an optimiser takes other steps after it was saved and loaded."""
    check_once(f"{type(setting)} {setting}", partial(_check, setting))


def _check(setting: Any) -> None:
    try:
        with own_streams(0):
            resumes = _resumes(setting)
    except Exception:  # it fails in training too, where it is reported, or it cannot train this network
        return
    if not resumes:
        raise UserError(
            f"found {path_of(type(setting))}, whose optimiser has state that its state_dict lacks, so that a resumed "
            f"run is another; wanted all of it in `state` or in the groups"
        )


def _resumes(setting: Any) -> bool:
    first, width, last = SIZES
    module = nn.Sequential(nn.Linear(first, width), nn.Linear(width, last))
    optimizer = setting.build(module)
    _step(module, optimizer)
    again = deepcopy(module)
    loaded = setting.build(again)
    loaded.load_state_dict(deepcopy(optimizer.state_dict()))
    for _ in range(2):
        _step(module, optimizer)
        _step(again, loaded)
    return all(map(torch.equal, module.parameters(), again.parameters()))


def _step(module: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Take a step with the same gradients, and the same random numbers, each time."""
    for parameter in module.parameters():
        parameter.grad = torch.linspace(-1, 1, parameter.numel()).reshape(parameter.shape)
    with own_streams(0):
        optimizer.step()
