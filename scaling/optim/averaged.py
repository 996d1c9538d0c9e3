"""Optimisers that mean other weights than those they step from, such as the averages of schedule-free ones.

They have methods `eval()` and `train()`, which change the model's weights from one to the other (Defazio et al. 2024,
arXiv 2405.15682; the packages schedulefree and pytorch_optimizer).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


def to_train(optimizer: torch.optim.Optimizer) -> None:
    """Put an optimiser that has such modes in that of training."""
    _set_mode(optimizer, "train")


@contextmanager
def as_meant(optimizer: torch.optim.Optimizer) -> Iterator[None]:
    """Give the model the weights that the optimiser means; afterwards, bit for bit those that it had before."""
    if not callable(getattr(optimizer, "eval", None)):
        yield
        return
    weights = [parameter.detach() for group in optimizer.param_groups for parameter in group["params"]]
    before = [one.clone() for one in weights]
    _set_mode(optimizer, "eval")
    try:
        yield
    finally:
        to_train(optimizer)
        for one, former in zip(weights, before, strict=True):
            one.copy_(former)


def _set_mode(optimizer: torch.optim.Optimizer, mode: str) -> None:
    change = getattr(optimizer, mode, None)
    if callable(change):
        change()
