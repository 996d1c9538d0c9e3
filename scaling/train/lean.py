"""What a process of training need not do: import torch._dynamo, and go through torch's own objects for garbage."""

from __future__ import annotations

import gc
from functools import cache

import torch


@cache
def spare_dynamo() -> None:
    """Keep the optimisers from importing torch._dynamo: 1.2 s of CPU a process, which eager training never uses.

    Without effect where torch's wrappers are not those of torch 2.4 to 2.13. A step is wrapped to turn gradients off
    and to break compiled graphs, other methods to be left out of them; both wrappers import torch._dynamo first.
    Gradients are turned off here as well; nothing else changes.
    """
    for method in vars(torch.optim.Optimizer).values():
        inner = getattr(method, "__wrapped__", None)
        if getattr(method, "__module__", "") == "torch.optim.optimizer" and inner is not None:
            inner.__dict__.setdefault("__dynamo_disable", inner)  # what the wrapper looks for before it imports
    for kind in (torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD):
        inner = getattr(kind.step, "__wrapped__", None)
        if inner is not None:
            kind.step = torch.no_grad()(inner)  # type: ignore[method-assign]


@cache
def spare_collector() -> None:
    """Keep what has been imported out of garbage collection, the interpreter's last one too: 0.4 s of CPU a process."""
    gc.freeze()
