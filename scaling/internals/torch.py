"""Private names of torch, and what they are used for."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch.utils import flop_counter


@cache
def spare_dynamo() -> None:
    """Keep the optimisers from importing torch._dynamo: 1.2 s of CPU a process, which eager training never uses.

    Without effect where torch's wrappers are not those of torch 2.4 to 2.13. A step is wrapped to turn gradients off
    and to break compiled graphs, other methods to be left out of them; both wrappers import torch._dynamo first.
    Gradients are turned off here as well; nothing else changes.
    """
    for method in vars(torch.optim.Optimizer).values():
        if getattr(method, "__module__", "") == "torch.optim.optimizer":
            _leave_enabled(method)
    for kind in (torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD):
        inner = getattr(kind.step, "__wrapped__", None)
        if inner is not None:
            kind.step = torch.no_grad()(inner)  # type: ignore[method-assign]


@cache
def spare_dynamo_counting() -> None:
    """Keep torch's counter of FLOPs from importing torch._dynamo; without effect on other versions of torch, too."""
    mode = getattr(flop_counter, "_FlopCounterMode", None)
    _leave_enabled(getattr(mode, "__torch_dispatch__", None))


def _leave_enabled(method: Any) -> None:
    """Let a method that torch keeps out of compiled graphs be called as it is."""
    inner = getattr(method, "__wrapped__", None)
    if inner is not None:
        inner.__dict__.setdefault("__dynamo_disable", inner)  # what the wrapper looks for before it imports
