"""The identity of a run: run_id, a short hash of everything that determines its weights."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Hashable, Mapping
from functools import cache
from typing import Any, cast

from scaling.compose.roots import shipped
from scaling.config import RunConfig
from scaling.folders import exists
from scaling.plan.quantities import Quantities
from scaling.security.modules import is_shipped

# Keys whose values may differ between the members of a stack.
OWN = {
    "optim": ("lr", "weight_decay", "beta1", "beta2"),
    "train": ("clip", "label_smoothing", "steps"),
    "augment": ("mixup",),
    "data": ("seed", "size"),
}
ID_DIGITS = 12  # hex digits, 48 bits: among a million runs the probability of a collision is 1 in 560


def run_id(config: RunConfig, quantities: Quantities) -> str:
    """Return the first 12 hex digits of SHA-256 over the canonical JSON of `identity`."""
    text = json.dumps(identity(config, quantities), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:ID_DIGITS]


def identity(config: RunConfig, quantities: Quantities) -> dict[str, Any]:
    """Return all that determines the weights, or a stage's result: what it starts from, its data and its recipe.

    Keys at their defaults are left out, so that new keys keep old ids.
    """
    stage, parent, size = config.stage, config.parent, quantities.D_unique
    if stage.begins:
        start = {"model": _named("model", config.model)}
    else:
        start = {
            "stage": _named("stage", stage),
            "parent": {"run_id": parent.run_id, "step": parent.step} if parent else {},
        }
    return {
        **start,
        "data": {**_named("data", config.data), "size": "fresh" if stage.begins and quantities.fresh else size},
        **(recipe(config, quantities) if stage.trains else {}),
        "precision": asked_precision(config),
        "seed": config.seed,
        "recipe_version": config.recipe_version,
    }


def recipe(config: RunConfig, quantities: Quantities) -> dict[str, Any]:
    """Return the settings of training, without the model, the data and the seed."""
    train = identity_keys(config.train)
    train.pop("precision", None)
    return {
        "optim": _named("optim", config.optim),
        "schedule": _named("schedule", config.schedule),
        "augment": _named("augment", config.augment),
        "train": {**train, "batch": config.train.batch, "steps": quantities.steps},
    }


def _named(group: str, part: Any) -> dict[str, Any]:
    key = "family" if group == "model" else "name"
    return {key: getattr(part, key), **own_class(group, part), **identity_keys(part)}


def own_class(group: str, part: Any) -> dict[str, str]:
    """Return the class of a config group if its name does not identify it, otherwise {}.

    A user's class may derive from another without a name of its own, or have the name of a shipped one.
    """
    return (
        {"class": f"{type(part).__module__}.{type(part).__qualname__}"}
        if _borrows(group, cast("Hashable", type(part)))
        else {}
    )


@cache
def _borrows(group: str, kind: Hashable) -> bool:
    """Return whether a user's class has the name of the class that it derives from, or of a shipped one."""
    of, key = cast("Any", kind), "family" if group == "model" else "name"
    owner = next((each for each in of.__mro__ if key in vars(each)), of)
    name = vars(owner).get(key)
    set_by_config = any(field.name == key for field in dataclasses.fields(of))
    if is_shipped(of) or set_by_config or not isinstance(name, str):
        return False
    return owner is not of or exists(shipped("conf") / group / f"{name}.yaml")


def shown_name(group: str, part: Any) -> str:
    """Return the name of a config group for people, with its class if the name alone does not identify it."""
    name = part.family if group == "model" else part.name
    return " ".join([name, *(f"({kind})" for kind in own_class(group, part).values())])


def stack_key(config: RunConfig, quantities: Quantities) -> str:
    """Return a key that is equal for runs that can be trained together, '' for a run that is not stacked."""
    if config.train.engine != "stacked" or not is_stackable(config):
        return ""
    shape = {name: value for name, value in identity(config, quantities).items() if name != "seed"}
    for group, keys in OWN.items():
        shape[group] = {name: value for name, value in shape[group].items() if name not in keys}
    train = config.train
    how = {"device": train.device, "micro_batch": train.micro_batch, "stack": train.stack, "graph": train.graph}
    text = json.dumps({**shape, **how}, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:ID_DIGITS]


def is_stackable(config: RunConfig) -> bool:
    """Return whether a run's stage and optimiser can be stacked, whatever its engine is."""
    return bool(config.stage.stackable and getattr(config.optim, "stackable", False))


def identity_keys(part: Any) -> dict[str, Any]:
    """Return the keys of a config group that change the weights and differ from their default."""
    found = {}
    for name, default in _hashed(cast("Hashable", type(part))):
        value = getattr(part, name)
        if value != default:
            found[name] = canonical(value)
    return found


@cache
def _hashed(kind: Hashable) -> list[tuple[str, Any]]:
    """Return the keys of a group that change the weights, with their defaults."""
    return [
        (field.name, field.default)
        for field in dataclasses.fields(cast("Any", kind))
        if field.metadata.get("identity", True)
    ]


def canonical(value: Any) -> Any:
    """Return a value in the canonical form for hashing, in which 1.0 and 1 are equal."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    if isinstance(value, Mapping):
        return {str(key): canonical(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [canonical(item) for item in value]
    return value


def asked_precision(config: RunConfig) -> str:
    """Return the precision that a run asks for; auto stays auto, since its arithmetic depends on the device.

    In recipe 1 auto was fp32 on every device.
    """
    automatic = "fp32" if config.recipe_version == 1 else "auto"
    return automatic if config.train.precision == "auto" else config.train.precision


def device_precision(config: RunConfig, *, has_tf32: bool) -> str:
    """Return the precision in which a device computes a run, fp32, tf32 or bf16.

    auto is tf32, and tf32 is fp32 on a device that does not have it.
    """
    asked = asked_precision(config)
    return asked if asked in ("fp32", "bf16") else "tf32" if has_tf32 else "fp32"


def describe(group: str, part: Any, *, without: tuple[str, ...] = ()) -> str:
    """Return a group's name and its keys that differ from their defaults, such as adamw[weight_decay=0.1]."""
    settings = [f"{key}={value}" for key, value in identity_keys(part).items() if key not in without]
    name = shown_name(group, part)
    return f"{name}[{','.join(settings)}]" if settings else name
