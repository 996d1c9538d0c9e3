"""The global random streams of torch, NumPy and Python, which users' code may use: seeded, saved and restored.

Importing it imports no torch; where torch is not loaded, nothing has drawn from its streams.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch

    Device = torch.device | int

WORD = 2**32  # NumPy's seeds are lists of numbers below it
SEEDED_BY = {"torch": "torch.manual_seed", "numpy": "numpy.random.seed", "random": "random.seed"}


def seed_streams(seed: int) -> None:
    """Seed every global stream: torch's (of the CPU, and of the GPUs in use), NumPy's and Python's own."""
    random.seed(seed)
    np.random.seed([seed % WORD, seed // WORD])
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would take 1.5 ms
        if torch.cuda.is_initialized():
            torch.cuda.manual_seed_all(seed)


def stream_states(devices: Sequence[Device]) -> dict[str, Any]:
    """Return the state of every global stream as plain values and tensors; of torch's GPUs, those of `devices`."""
    state: Any = np.random.get_state()
    kind, words, *rest = state
    states: dict[str, Any] = {"random": random.getstate(), "numpy": (kind, words.tolist(), *rest)}
    torch = sys.modules.get("torch")
    if torch is not None:
        gpus = [torch.cuda.get_rng_state(device) for device in devices]
        states["torch"] = [torch.get_rng_state(), *gpus]
    return states


def set_stream_states(states: Mapping[str, Any], devices: Sequence[Device]) -> None:
    """Set the streams whose states are given; the others are unchanged."""
    if "random" in states:
        random.setstate(states["random"])
    if "numpy" in states:
        np.random.set_state(states["numpy"])
    if "torch" in states:
        import torch

        cpu, *gpus = states["torch"]
        torch.set_rng_state(cpu)
        for device, state in zip(devices, gpus, strict=True):
            torch.cuda.set_rng_state(state, device)


def seeding_call(one: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """Return the function by which code has seeded a stream itself, '' if it has not.

    one, other: states that it leaves after two different seeds; a stream that it seeds has the same state in both.
    """
    same = [name for name in ("numpy", "random") if one[name] == other[name]]
    if "torch" in one and one["torch"][0].equal(other["torch"][0]):
        same.append("torch")
    return SEEDED_BY[same[0]] if same else ""


@contextmanager
def kept_streams() -> Iterator[None]:
    """Restore every global stream after the block."""
    devices = _gpus_in_use()
    before = stream_states(devices)
    try:
        yield
    finally:
        set_stream_states(before, devices)


@contextmanager
def own_streams(seed: int) -> Iterator[None]:
    """Seed the global streams with `seed` for the block, and restore them afterwards."""
    with kept_streams():
        seed_streams(seed)
        yield


def _gpus_in_use() -> Sequence[int]:
    torch = sys.modules.get("torch")
    return range(torch.cuda.device_count()) if torch is not None and torch.cuda.is_initialized() else ()
