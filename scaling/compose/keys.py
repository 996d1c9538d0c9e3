"""The keys of a config by their dotted names: the value of one, and which ones a group may have."""

from __future__ import annotations

from collections.abc import Mapping
from types import UnionType
from typing import Any, Union, get_args, get_origin

from scaling.config import load_class, types_of


def value_at(config: Any, key: str) -> Any:
    """Return the value at a dotted key of nested mappings; LookupError if there is none."""
    for step in key.split("."):
        if not isinstance(config, Mapping):
            raise LookupError(key)
        config = config[step]
    return config


def takes(config: Mapping[str, Any], key: str) -> bool:
    """Return whether a group's class has a key that the config may leave out, or a dictionary that contains it."""
    group, *path = key.split(".")
    keys = config.get(group)
    if not path or not isinstance(keys, Mapping) or "_target_" not in keys:
        return False
    kinds = types_of(load_class(keys["_target_"]))
    return path[0] in kinds and (len(path) == 1 or _is_open(kinds[path[0]]))


def names_of(keys: Mapping[str, Any]) -> list[str]:
    """Return the names of a group's keys: those of its class if it names one, otherwise those in the config."""
    return list(types_of(load_class(keys["_target_"]))) if "_target_" in keys else list(keys)


def _is_open(kind: Any) -> bool:
    """Return whether a type is a dictionary with arbitrary keys."""
    if get_origin(kind) in (Union, UnionType):
        return any(_is_open(each) for each in get_args(kind))
    found = get_origin(kind) or kind
    return isinstance(found, type) and issubclass(found, Mapping)
