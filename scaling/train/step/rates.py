"""The learning rates of an optimiser's groups, set before each step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

KEEP = "keep"  # of a group: what a step multiplies its weights by before it moves them


class Rates:
    """Sets `lr` of an optimiser's groups and, where its steps read it, `keep` = 1 - lr x weight decay.

    rounded: to float32, which a GPU reads from its memory where a step is replayed: the same whether it is or not. The
    groups are those that the optimiser has now: loading a state makes others.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, *, rounded: bool) -> None:
        self._rounded = rounded
        self._groups = [
            (group, group.get("share", 1.0), decay_of(group) if getattr(optimizer, "keeps", False) else None)
            for group in optimizer.param_groups
        ]

    def set(self, lr: float) -> None:
        """Put the rates of a step into the groups; lr: of groups that take all of it."""
        for group, share, decay in self._groups:
            rate = lr * share
            if self._rounded:
                rate = float(np.float32(rate))
            group["lr"] = rate
            if decay is not None:
                group[KEEP] = 1 - rate * decay

    def values(self, lr: float) -> list[float]:
        """Return the numbers of a step, in the order in which `bind` takes them."""
        self.set(lr)
        return [group[key] for group, key in self._places()]

    def bind(self, buffer: Tensor) -> None:
        """Let the groups read their rates from a buffer (numbers of a step,) on the device."""
        for number, (group, key) in enumerate(self._places()):
            group[key] = buffer[number]

    def _places(self) -> list[tuple[dict[str, Any], str]]:
        keys = [("lr",) if decay is None else ("lr", KEEP) for _, _, decay in self._groups]
        return [(group, key) for (group, _, _), names in zip(self._groups, keys, strict=True) for key in names]


def decay_of(group: Mapping[str, Any]) -> float:
    """Return the weight decay of an optimiser's group; where torch's own is to be left out it has another name."""
    return float(group.get("decay", group["weight_decay"]))
