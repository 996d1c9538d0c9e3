"""The keys of a config by their dotted names: the value of one, and which ones a group may have."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import is_dataclass
from types import UnionType
from typing import Any, Union, get_args, get_origin

from scaling.compose.roots import roots
from scaling.config import RunConfig, load_class, read_part, types_of


def value_at(config: Any, key: str) -> Any:
    """Return the value at a dotted key of nested mappings; LookupError if there is none."""
    for step in key.split("."):
        if not isinstance(config, Mapping):
            raise LookupError(key)
        config = config[step]
    return config


def accepts_key(config: Mapping[str, Any], key: str) -> bool:
    """Return whether a group's class has a key that the config may leave out, or a dictionary that contains it."""
    group, *path = key.split(".")
    keys = config.get(group)
    if not path or not isinstance(keys, Mapping) or "_target_" not in keys:
        return False
    kinds = types_of(load_class(keys["_target_"]))
    return path[0] in kinds and (len(path) == 1 or _is_open(kinds[path[0]]))


def as_read(config: Mapping[str, Any], key: str, value: Any) -> Any:
    """Return a value as the class of its key reads it, such as 16 for the text '16' of an environment variable."""
    kinds: Mapping[str, Any] = types_of(RunConfig)
    keys: Any = config
    *groups, name = key.split(".")
    for group in groups:
        keys, kind = keys[group], kinds.get(group)
        if isinstance(keys, Mapping) and "_target_" in keys:
            kind = load_class(keys["_target_"])
        if not isinstance(kind, type) or not is_dataclass(kind):
            return value
        kinds = types_of(kind)
    return read_part(kinds[name], value, where=key) if name in kinds else value


def where_else(config: Mapping[str, Any], key: str) -> str:
    """Return a hint for an unknown key that other groups, or other members of its group, have; "" if none has it."""
    group, _, name = key.rpartition(".")
    if not group:
        groups = {name: keys for name, keys in config.items() if isinstance(keys, Mapping) and name != "hydra"}
        found = [f"{group}.{key}" for group, keys in groups.items() if key in keys]
        return f"did you mean {' or '.join(found)}?" if found else ""
    line = re.compile(rf"^{re.escape(name)}\s*:", re.MULTILINE)
    files = (file for folder in roots("conf") for file in sorted(folder.glob(f"{group}/*.yaml")))
    having = next((file.stem for file in files if line.search(file.read_text(errors="replace"))), None)
    return f"{group}={having} has it; give members that differ in their keys a block each" if having else ""


def names_of(keys: Mapping[str, Any]) -> list[str]:
    """Return the names of a group's keys: those of its class if it names one, otherwise those in the config."""
    return list(types_of(load_class(keys["_target_"]))) if "_target_" in keys else list(keys)


def _is_open(kind: Any) -> bool:
    """Return whether a type is a dictionary with arbitrary keys."""
    if get_origin(kind) in (Union, UnionType):
        return any(_is_open(each) for each in get_args(kind))
    found = get_origin(kind) or kind
    return isinstance(found, type) and issubclass(found, Mapping)
