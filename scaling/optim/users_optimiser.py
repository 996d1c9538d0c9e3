"""Users' optimisers: check once a process that their state is in their state_dict, and keep their relative rates."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import fields, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from scaling.errors import UserError, check_once
from scaling.global_streams import own_streams
from scaling.optim.averaged import to_train
from scaling.security.modules import path_of

SIZES = (3, 4, 2)  # numbers of features, of the network on which an optimiser is tried
BEFORE, AFTER = 5, 16  # steps before it is saved and after: some change their state only every few steps
SHRINKING = 0.9  # factor of the learning rates from step to step, as by a schedule


def keep_shares(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Note in each group of a user's optimiser its share of the run's learning rate `lr`, which schedules change."""
    for group in optimizer.param_groups:
        if group.get("lr") is not None:
            group.setdefault("share", float(group["lr"]) / lr)


def check_trains_all(setting: Any, optimizer: Any, module: nn.Module) -> None:
    """Raise UserError for what is no optimiser, or for one without some trainable parameters of the module."""
    name = path_of(type(setting))
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise UserError(f"found {name}, which builds a {type(optimizer).__name__}; wanted a torch.optim.Optimizer")
    held = {parameter for group in optimizer.param_groups for parameter in group["params"]}
    lacking = [key for key, parameter in module.named_parameters() if parameter.requires_grad and parameter not in held]
    if lacking:
        raise UserError(
            f"found {name}, whose optimiser lacks trainable parameters of the model ({', '.join(lacking[:3])}); wanted "
            f"all of module.parameters(); give it them, or freeze those with requires_grad_(False)"
        )


def check_still_trains_all(name: str, optimizer: torch.optim.Optimizer, module: nn.Module) -> None:
    """Raise UserError if a module has trainable parameters by now that its optimiser was not given."""
    held = {parameter for group in optimizer.param_groups for parameter in group["params"]}
    if later := [key for key, each in module.named_parameters() if each.requires_grad and each not in held]:
        raise UserError(
            f"found {name}, which has made, replaced or unfrozen parameters during training ({', '.join(later[:3])}), "
            f"so that they are not trained; wanted those of its __init__, trainable from the start; make them there, "
            f"and change their values in place"
        )


def check_users_optimiser(setting: Any) -> None:
    """Raise UserError if an optimiser ignores a learning rate, or takes other steps after it was saved and loaded."""
    check_once(f"{type(setting)} {setting}", partial(_check, setting))


def _check(setting: Any) -> None:
    try:
        with own_streams(0):
            resumes, heeds, follows = _resumes(setting), _heeds_rate(setting), _follows_rate(setting)
    except Exception as error:  # it fails in training too, where it is reported, or it cannot train this network
        if _wants_closure(setting):
            raise UserError(
                f"found {path_of(type(setting))}, whose optimiser computes the loss several times a step, by a closure "
                f"(LBFGS, SAM); wanted one whose step() follows a single backward pass, since C counts one; take "
                f"another"
            ) from error
        return
    if not resumes:
        raise UserError(
            f"found {path_of(type(setting))}, whose optimiser has state that its state_dict lacks, or does not load, "
            f"so that a resumed run is another; wanted all of it in `state` or in the groups"
        )
    if not heeds:
        raise UserError(
            f"found {path_of(type(setting))}, whose optimiser has the same learning rate whatever optim.lr is; wanted "
            f"that of the run; give it self.lr"
        )
    if not follows:
        raise UserError(
            f"found {path_of(type(setting))}, whose optimiser takes the same steps whatever the `lr` of its groups is; "
            f"wanted steps of that size, which the schedule sets before each; read it from the group"
        )


def _wants_closure(setting: Any) -> bool:
    """Return whether an optimiser that takes no step alone takes one with a closure."""
    module = _module()

    def closure() -> Any:
        with torch.enable_grad():
            loss: Tensor = module(torch.ones(1, SIZES[0])).square().sum()
            loss.backward()
        return loss

    closure()
    try:
        with own_streams(0):
            _built(setting, module).step(closure)
    except Exception:  # it fails for another reason
        return False
    return True


def _module() -> nn.Module:
    first, width, last = SIZES
    return nn.Sequential(nn.Linear(first, width), nn.Linear(width, last))


def _heeds_rate(setting: Any) -> bool:
    """Return whether some group's learning rate follows that of the config, where this can be set."""
    if "lr" not in {field.name for field in fields(setting) if field.init}:
        return True
    settings = (setting, replace(setting, lr=2 * setting.lr))
    one, other = ([group.get("lr") for group in each.build(_module()).param_groups] for each in settings)
    return one != other or None in one


def _follows_rate(setting: Any) -> bool:
    """Return whether steps depend on the learning rates of the groups, if these have any and the network is moved."""
    first = _module()
    modules = [deepcopy(first), deepcopy(first)]
    optimizers = [_built(setting, each) for each in modules]
    if not any(group.get("lr") for group in optimizers[0].param_groups):
        return True
    _shrink_rates(optimizers[1])
    for each in zip(modules, optimizers, strict=True):
        _take_steps(*each, AFTER)
    return not _are_equal(*modules) or _are_equal(modules[0], first)


def _resumes(setting: Any) -> bool:
    module = _module()
    optimizer = _built(setting, module)
    _take_steps(module, optimizer, BEFORE)
    again = deepcopy(module)
    loaded = _built(setting, again)
    loaded.load_state_dict(deepcopy(optimizer.state_dict()))
    _take_steps(module, optimizer, AFTER)
    _take_steps(again, loaded, AFTER)
    return _are_equal(module, again)


def _are_equal(module: nn.Module, other: nn.Module) -> bool:
    return all(map(torch.equal, module.parameters(), other.parameters()))


def _take_steps(module: nn.Module, optimizer: torch.optim.Optimizer, steps: int) -> None:
    """Take steps at falling rates, with the same gradients and the same random numbers each time."""
    for _ in range(steps):
        _shrink_rates(optimizer)
        for parameter in module.parameters():
            parameter.grad = torch.linspace(-1, 1, parameter.numel()).reshape(parameter.shape)
        with own_streams(0):
            optimizer.step()


def _shrink_rates(optimizer: torch.optim.Optimizer) -> None:
    for group in optimizer.param_groups:
        if group.get("lr") is not None:
            group["lr"] = group["lr"] * SHRINKING


def _built(setting: Any, module: nn.Module) -> torch.optim.Optimizer:
    optimizer: torch.optim.Optimizer = setting.build(module)
    to_train(optimizer)
    return optimizer
