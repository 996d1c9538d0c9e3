"""The state of a module besides the values of its parameters: buffers, attributes, and which parameters are frozen."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from copy import deepcopy
from itertools import chain
from operator import is_
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from scaling.internals.torch import buffers_of, unsaved_buffers, version_of

TORCHS = frozenset(vars(nn.Module()))  # names of attributes that torch gives every module
PLAIN = (int, float, bool, str, type(None))
HOLDERS = (list, dict, set, deque)  # containers whose items are restored, with all that the items contain

Restore = Callable[[], None]


def restores(parts: Sequence[nn.Module]) -> list[Restore]:
    """Return functions that restore the present buffers and attributes of modules; call them without gradients."""
    places = [place for part in parts for place in ((buffers_of(part), frozenset[str]()), (vars(part), TORCHS))]
    return [_restored(place, others) for place, others in places]


def _restored(place: dict[str, Any], others: frozenset[str]) -> Restore:
    """Return a function that restores the present values of a dictionary, except the keys `others`."""
    before = {name: value for name, value in place.items() if name not in others}
    seen = set[int]()
    refills = [refill for value in before.values() for refill in _copies(value, seen)]

    def restore() -> None:
        for name in place.keys() - before.keys() - others:
            del place[name]
        place.update(before)
        for refill in refills:
            refill()

    return restore


def _copies(value: Any, seen: set[int]) -> Iterator[Restore]:
    """Yield functions that restore the present values of a tensor, or the items of a container with their contents.

    seen: ids of the containers so far, since one may contain itself.
    """
    if isinstance(value, Tensor):
        if not value.is_inference():  # else it cannot be changed
            yield _copy_tensor(value)
    elif isinstance(value, (*HOLDERS, tuple)) and id(value) not in seen:
        seen.add(id(value))
        if not isinstance(value, tuple):
            yield _copy_items(value)
        for item in value.values() if isinstance(value, dict) else value:
            yield from _copies(item, seen)


def _copy_tensor(tensor: Tensor) -> Restore:
    version, copy = version_of(tensor), tensor.detach().clone()

    def refill() -> None:
        if version_of(tensor) != version or _may_differ(tensor, copy):
            tensor.detach().copy_(copy)

    return refill


def _may_differ(tensor: Tensor, copy: Tensor) -> bool:
    """Return whether a tensor may have been changed through `data`, which does not raise its version.

    On a GPU always True, since writing is cheaper than waiting for a comparison. False if it cannot be written to.
    """
    if tensor.layout is not torch.strided or 0 in tensor.stride():
        return False
    return tensor.device.type != "cpu" or not torch.equal(tensor, copy)


def _copy_items(value: Any) -> Restore:
    items = value.copy()

    def refill() -> None:
        if _has_items(value, items):
            return
        value.clear()
        if isinstance(value, dict | set):
            value.update(items)
        else:
            value.extend(items)

    return refill


def _has_items(value: Any, items: Any) -> bool:
    """Return whether a container still has the identical items; then it is not rewritten, which some items forbid."""
    if len(value) != len(items) or isinstance(value, set):
        return bool(value == items)
    found, wanted = ((*each, *each.values()) if isinstance(each, dict) else (*each,) for each in (value, items))
    return all(map(is_, found, wanted))


def held_tensors(module: nn.Module) -> dict[str, Tensor]:
    """Return the buffers of a module, and its attributes that are tensors, by name."""
    return {
        f"{path}.{name}".lstrip("."): value
        for path, part in module.named_modules()
        for name, value in {**vars(part), **buffers_of(part)}.items()
        if isinstance(value, Tensor)
    }


def replaced_tensors(module: nn.Module, before: Mapping[str, Tensor]) -> list[str]:
    """Return the names of `held_tensors` that have been replaced by other tensors, or removed."""
    now = held_tensors(module)
    return [name for name, tensor in before.items() if now.get(name) is not tensor]


class UnsavedState:
    """Finds what has changed in a module since this object was made, but is not in the module's state_dict."""

    def __init__(self, module: nn.Module) -> None:
        self._module, self._first = module, _values(module)

    def changed(self) -> dict[str, Any]:
        """Return the plain values, dense tensors and arrays that have changed, by name."""
        return self.different(_values(self._module))

    def different(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return those of some values by name that differ from what the module had first."""
        return {
            name: value
            for name, value in values.items()
            if name not in self._first or not _same(value, self._first[name])
        }

    @torch.no_grad()
    def load(self, changed: Mapping[str, Any], kinds: Mapping[str, str]) -> None:
        """Set values that `changed` returned; those of submodules that the module no longer has are skipped.

        Load the state_dict afterwards: an attribute of a new module may share memory with a parameter, as the weight of
        torch.nn.utils.spectral_norm does. kinds: the kind of device of each tensor, by name.
        """
        parts = dict(self._module.named_modules())
        tensors = chain(self._module.parameters(), self._module.buffers())
        first = next((value.device for value in tensors), torch.device("cpu"))
        for name, value in changed.items():
            owner, _, key = name.rpartition(".")
            part = parts.get(owner)
            if part is None:
                continue
            now = getattr(part, key, None)
            if isinstance(now, nn.Parameter) and isinstance(value, bool):
                now.requires_grad_(value)
            elif not isinstance(value, Tensor):
                setattr(part, key, value)
            elif isinstance(now, np.ndarray):
                setattr(part, key, value.cpu().numpy())
            elif isinstance(now, Tensor) and (now.shape, now.dtype) == (value.shape, value.dtype):
                now.detach().copy_(value)
            elif isinstance(now, Tensor):
                setattr(part, key, value.to(now.device))
            else:
                setattr(part, key, value.to(first) if kinds.get(name) == first.type else value)


def device_kinds(values: Mapping[str, Any]) -> dict[str, str]:
    """Return the kinds of the devices of tensors, by name."""
    return {name: value.device.type for name, value in values.items() if isinstance(value, Tensor)}


def unsaved_values(part: nn.Module) -> dict[str, Any]:
    """Return the attributes of a module by name, without parameters, submodules and buffers of its state."""
    attributes = {name: value for name, value in vars(part).items() if name not in TORCHS}
    return attributes | unsaved_buffers(part)


def own_values(module: nn.Module) -> dict[str, Any]:
    """Return copies of what the state_dict lacks, by name: plain values, dense tensors, and arrays as tensors."""
    found = {}
    for path, part in module.named_modules():
        for name, value in unsaved_values(part).items():
            if isinstance(value, Tensor) and not isinstance(value, nn.Parameter):
                if value.layout is torch.strided:
                    found[f"{path}.{name}"] = value.detach().clone().as_subclass(Tensor)
            elif isinstance(value, np.ndarray):
                with suppress(TypeError, ValueError):  # of a type that torch lacks
                    found[f"{path}.{name}"] = torch.from_numpy(value.copy())
            elif _is_whole(value):
                found[f"{path}.{name}"] = deepcopy(value)
    return found


def _values(module: nn.Module) -> dict[str, Any]:
    """Return `own_values`, and which parameters are trained."""
    parameters = [
        (f"{path}.{name}", parameter)
        for path, part in module.named_modules()
        for name, parameter in part.named_parameters(recurse=False)
    ]
    return own_values(module) | {name: parameter.requires_grad for name, parameter in parameters}


def _is_whole(value: Any) -> bool:
    """Return whether a value is plain with all its items; False if it contains itself."""
    try:
        return _is_plain(value)
    except RecursionError:
        return False


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
