"""Modules whose steps cannot be captured."""

from __future__ import annotations

from tests.train.step.nets import Counting, Drawing, Net

__all__ = ["Counting", "Drawing", "Waiting"]


class Waiting(Net):
    """It looks at a number on the device."""

    def scale(self):
        return 1.0 if self.head.weight.abs().sum().item() < 1e9 else 0.5
