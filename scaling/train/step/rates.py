"""The learning rates of an optimiser's groups, set before each step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

KEEP = "keep"  # key of a group: the factor of weight decay, by which a step first multiplies its weights


class Rates:
    """Sets `lr` of an optimiser's groups and, if its steps read it, `keep` = 1 - lr x weight decay.

    rounded: round the rates to float32, as a replayed step on a GPU reads them. The groups are the optimiser's current
    ones; loading a state replaces them.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, *, rounded: bool) -> None:
        self._rounded = rounded
        self._groups = [
            (group, group.get("share", 1.0), decay_of(group) if getattr(optimizer, "keeps", False) else None)
            for group in optimizer.param_groups
        ]

    def set(self, lr: float) -> None:
        """Set the groups' learning rates for a step; lr: the rate of groups whose share is 1."""
        for group, share, decay in self._groups:
            rate = lr * share
            if self._rounded:
                rate = float(np.float32(rate))
            group["lr"] = rate
            if decay is not None:
                group[KEEP] = 1 - rate * decay

    def values(self, lr: float) -> list[float]:
        """Return the rates of a step, in the order that `bind` expects."""
        self.set(lr)
        return [group[key] for group, key in self._places()]

    def bind(self, buffer: Tensor) -> None:
        """Let the groups read their rates from a 1-D buffer on the device."""
        for number, (group, key) in enumerate(self._places()):
            group[key] = buffer[number]

    def _places(self) -> list[tuple[dict[str, Any], str]]:
        keys = [("lr",) if decay is None else ("lr", KEEP) for _, _, decay in self._groups]
        return [(group, key) for (group, _, _), names in zip(self._groups, keys, strict=True) for key in names]


def decay_of(group: Mapping[str, Any]) -> float:
    """Return the weight decay of an optimiser's group, stored as `decay` if torch must not apply it."""
    return float(group.get("decay", group["weight_decay"]))
