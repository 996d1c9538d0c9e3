"""What training need not do: import torch._dynamo, go through torch's own objects for garbage, call hooks of steps."""

from __future__ import annotations

import gc
from functools import cache
from typing import TypeVar

import torch

Kind = TypeVar("Kind", bound=type[torch.optim.Optimizer])


def unhooked(kind: Kind) -> Kind:
    """Keep torch from wrapping an optimiser's step in hooks and a record for its profiler: 20 us of a step's 270.

    Torch does so once for each class, unless its step is marked as done already.
    """
    kind.step.__dict__["hooked"] = True
    return kind


@cache
def spare_collector() -> None:
    """Keep what has been imported out of garbage collection, the interpreter's last one too: 0.4 s of CPU a process."""
    gc.freeze()
