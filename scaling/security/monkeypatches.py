"""Restore functions of Python and its libraries that a run's code has replaced.

Importing this imports no torch.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cache
from types import ModuleType
from typing import Any

from scaling.security.modules import is_own_file

TORCH = ("nn", "optim", "autograd", "cuda", "functional", "random", "_tensor", "serialization")  # parts of torch
LIBRARIES = ("torch", "numpy", "yaml", "scaling")
MEMBERS = property | staticmethod | classmethod

Owner = ModuleType | type
_loaded: set[str] = set()  # names of modules


@cache
def originals() -> tuple[tuple[Owner, Mapping[str, Any]], ...]:
    """Return the functions and classes of the libraries that are loaded at the first call, by owner."""
    return tuple(_owned())


def _owned() -> Iterator[tuple[Owner, Mapping[str, Any]]]:
    for name, module in list(sys.modules.items()):
        if not isinstance(module, ModuleType) or not _is_watched(name):
            continue
        found = {key: value for key, value in vars(module).items() if callable(value)}
        yield module, found
        for value in found.values():
            if isinstance(value, type) and value.__module__ == name:
                members = vars(value).items()
                yield value, {key: each for key, each in members if callable(each) or isinstance(each, MEMBERS)}


def _is_watched(name: str) -> bool:
    top, _, rest = name.partition(".")
    if top == "torch":
        return rest.partition(".")[0] in ("", *TORCH)
    return top in LIBRARIES or top in sys.stdlib_module_names


def remember() -> None:
    """Remember the loaded functions and classes as the originals, at the first call."""
    if not _loaded:
        originals()
        _loaded.update(sys.modules)


def has_own_modules() -> bool:
    """Return whether the user's own modules have been loaded since."""
    new = (sys.modules.get(name) for name in sys.modules.keys() - _loaded if not _is_watched(name))
    files = (getattr(module, "__file__", None) for module in new)
    return any(is_own_file(file) for file in files if file)


def restore_functions() -> list[str]:
    """Restore functions replaced since, and return their names; a library's replacements of its own stay."""
    replaced = []
    for owner, found in originals():
        now = vars(owner)
        for key, value in found.items():
            if now.get(key) is not value and _is_foreign(owner, value, now.get(key)):
                with suppress(AttributeError, TypeError):  # types written in C
                    setattr(owner, key, value)
                    replaced.append(f"{owner.__name__}.{key}")
    return replaced


def _is_foreign(owner: Owner, before: Any, now: Any) -> bool:
    """Return whether a function was replaced by something other than the library's own wrapper of it."""
    if now is None or getattr(now, "__name__", "") != getattr(before, "__name__", ""):
        return True
    home = owner.__name__ if isinstance(owner, ModuleType) else owner.__module__
    code = getattr(now, "__code__", None)
    where = code.co_filename if code is not None else getattr(now, "__module__", "")
    return home.partition(".")[0] not in str(where).replace("/", ".").split(".")
