"""Keep torch's optimisers from importing torch._dynamo: 1.2 s of CPU a process, which eager training never uses."""

from __future__ import annotations

from functools import cache

import torch


@cache
def spare_dynamo() -> None:
    """Unwrap the optimisers' steps; without effect where torch's wrappers are not those of torch 2.4 to 2.13.

    A step is wrapped to turn gradients off and to break compiled graphs, other methods to be left out of them; both
    wrappers import torch._dynamo first. Gradients are turned off here as well; nothing else changes.
    """
    for method in vars(torch.optim.Optimizer).values():
        inner = getattr(method, "__wrapped__", None)
        if getattr(method, "__module__", "") == "torch.optim.optimizer" and inner is not None:
            inner.__dict__.setdefault("__dynamo_disable", inner)  # what the wrapper looks for before it imports
    for kind in (torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD):
        inner = getattr(kind.step, "__wrapped__", None)
        if inner is not None:
            kind.step = torch.no_grad()(inner)  # type: ignore[method-assign]
