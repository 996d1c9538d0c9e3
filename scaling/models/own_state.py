"""What a module holds beside its parameters: buffers, and values that its own code gives its parts."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from scaling.internals.torch import buffers_of, unsaved_buffers, version_of

TORCHS = frozenset(vars(nn.Module()))  # names of attributes that torch gives every module
PLAIN = (int, float, bool, str, type(None))
HOLDERS = (list, dict, set, deque)  # of values: their contents are looked at, no deeper

Restore = Callable[[], None]


def restores(parts: Sequence[nn.Module]) -> list[Restore]:
    """Return what gives back to parts of a module the buffers and the values that they have now."""
    return [restore for part in parts for restore in _restores(part)]


def _restores(part: nn.Module) -> Iterator[Restore]:
    if buffers_of(part):
        yield _restored(buffers_of(part))
    own = {name: value for name, value in vars(part).items() if name not in TORCHS}
    if own:
        yield _restored(vars(part), own)


def _restored(place: dict[str, Any], own: Mapping[str, Any] | None = None) -> Restore:
    before = dict(place if own is None else own)
    copies = {name: _copy(value) for name, value in before.items()}

    @torch.no_grad()
    def restore() -> None:
        for name in [name for name in place if name not in before and (own is None or name not in TORCHS)]:
            del place[name]
        for name, value in before.items():
            place[name] = value
            refill = copies[name]
            if refill is not None:
                refill()

    return restore


def _copy(value: Any) -> Restore | None:
    """Return what gives a tensor its values, or a list and the like its items, that it has now."""
    if isinstance(value, Tensor):
        version, copy = version_of(value), value.detach().clone()
        return lambda: None if version_of(value) == version else _fill(value, copy)
    if isinstance(value, HOLDERS):
        items: Any = value.copy()

        def refill() -> None:
            if isinstance(value, dict | set):
                value.clear()
                value.update(items)
            else:
                value.clear()
                value.extend(items)

        return refill
    return None


def _fill(tensor: Tensor, values: Tensor) -> None:
    tensor.detach().copy_(values)


class OwnState:
    """Tells what a module's code has changed since this was made of what no state_dict holds."""

    def __init__(self, module: nn.Module) -> None:
        self._module, self._first = module, _values(module)

    def changed(self) -> dict[str, Any]:
        """Return the plain values and tensors that are others now, by the names of their places."""
        return {
            name: value
            for name, value in _values(self._module).items()
            if name not in self._first or not _same(value, self._first[name])
        }

    @torch.no_grad()
    def load(self, changed: Mapping[str, Any]) -> None:
        """Give the module such values; places that it no longer has are passed over."""
        parts = dict(self._module.named_modules())
        for name, value in changed.items():
            owner, _, key = name.rpartition(".")
            part = parts.get(owner)
            if part is None:
                continue
            now = getattr(part, key, None)
            if isinstance(value, Tensor) and isinstance(now, Tensor) and now.shape == value.shape:
                now.detach().copy_(value)
            else:
                setattr(part, key, value.to(now.device) if isinstance(now, Tensor) else value)


def _values(module: nn.Module) -> dict[str, Any]:
    found = {}
    for path, part in module.named_modules():
        named = [(name, value) for name, value in vars(part).items() if name not in TORCHS]
        named += unsaved_buffers(part).items()
        for name, value in named:
            if isinstance(value, Tensor) and not isinstance(value, nn.Parameter):
                found[f"{path}.{name}"] = value.detach().clone()
            elif _is_plain(value):
                found[f"{path}.{name}"] = deepcopy(value)
    return found


def _is_plain(value: Any) -> bool:
    if type(value) in (list, tuple):
        return all(map(_is_plain, value))
    if type(value) is dict:
        return all(map(_is_plain, (*value, *value.values())))
    return type(value) in PLAIN


def _same(value: Any, other: Any) -> bool:
    if isinstance(value, Tensor) and isinstance(other, Tensor):
        return value.shape == other.shape and value.dtype == other.dtype and torch.equal(value, other.to(value.device))
    return type(value) is type(other) and bool(value == other)
