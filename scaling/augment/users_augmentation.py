"""Check once a process that a user's augmentation draws only from its generator, and leaves its batch unchanged."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from math import prod
from typing import Any

import torch
from torch import Tensor

from scaling.errors import UserError, check_once
from scaling.global_streams import own_streams, seeding_call, stream_states
from scaling.security.modules import path_of

HALVES = (torch.float16, torch.bfloat16)
EXAMPLES = 4  # of the batch on which an augmentation is tried


def check_users_augmentation(setting: Any, shape: tuple[int, ...], outputs: int) -> None:
    """Raise UserError if an augmentation writes to its batch, or gives another one for the same random numbers."""
    check_once(f"{type(setting)} {setting} {shape} {outputs}", partial(_check, setting, shape, outputs))


def _check(setting: Any, shape: tuple[int, ...], outputs: int) -> None:
    try:
        with torch.no_grad():
            wrong = _wrong(setting.build(shape, outputs), shape, outputs)
    except Exception:  # it fails in training too, where it is reported
        return
    if wrong:
        raise UserError(f"found {path_of(type(setting))}, which {wrong}")


def _wrong(augment: Any, shape: tuple[int, ...], outputs: int) -> str:
    """Return what is wrong with an augmentation, as the end of a sentence about it; "" if nothing is."""
    if augment is None:
        return ""
    whole = torch.linspace(-1, 1, EXAMPLES * prod(shape)).reshape(EXAMPLES, *shape)
    labels = torch.arange(EXAMPLES) % outputs if outputs > 1 else torch.linspace(-1, 1, EXAMPLES)
    found = []
    for _ in range(2):
        x, y = whole.clone(), labels.clone()
        with own_streams(0):
            made = augment(x, y, torch.Generator().manual_seed(0))
        if not isinstance(made, tuple | list) or len(made) != 2:
            return f"returns a {type(made).__name__}; wanted the batch and its labels; write return x, y"
        found.append([part.clone() for part in _tensors(tuple(made))])
        if not (torch.equal(x, whole) and torch.equal(y, labels)):
            return "changes its batch in place, and so the data of later steps; wanted a new one; use x = x.clone()"
    if len(found[0][0]) != EXAMPLES:
        return (
            f"makes {len(found[0][0])} examples of {EXAMPLES}, while D and C count {EXAMPLES}; wanted as many as before"
        )
    if odd := _odd_type(made[0], x, "examples") or _odd_type(made[1], y, "labels"):
        return odd
    if call := _seeding_call(augment, whole, labels):
        return f"calls {call}, so that every batch draws the same numbers; wanted the generator that it is given"
    if all(_same(one, other) for one, other in zip(*found, strict=True)):
        return ""
    return (
        "gives another batch each time for the same random numbers; wanted the same, or a resumed run is another: draw "
        "from the generator that it is given, and keep no state"
    )


def _odd_type(made: Any, given: Tensor, what: str) -> str:
    """Return that examples or labels have a type that training cannot use, '' if it can.

    Labels may become shares of the classes; train.precision=bf16 accepts examples of 16 bits.
    """
    if not isinstance(made, Tensor) or made.dtype == given.dtype or made.dtype in HALVES:
        return ""
    if made.ndim > given.ndim and made.dtype == torch.float32:
        return ""
    return f"returns {what} of {made.dtype}; wanted {given.dtype}, as it is given them; convert them at its end"


def _seeding_call(augment: Any, x: Tensor, y: Tensor) -> str:
    """Return the function by which an augmentation seeds a global stream, '' if it does not."""
    states = []
    for seed in range(2):
        with own_streams(seed):
            augment(x.clone(), y.clone(), torch.Generator().manual_seed(0))
            states.append(stream_states([]))
    return seeding_call(*states)


def _same(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and torch.allclose(one, other, rtol=0, atol=0, equal_nan=True)


def _tensors(value: Any) -> Iterable[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, tuple):
        for part in value:
            yield from _tensors(part)
