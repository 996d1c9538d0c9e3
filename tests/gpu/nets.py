"""Modules whose steps cannot be captured."""

from __future__ import annotations

import torch

from tests.train.step.nets import Counting, Drawing, Moving, Net

__all__ = ["Counting", "Drawing", "Moving", "Timing", "Waiting"]


class Waiting(Net):
    """It looks at a number on the device, and then keeps the device busy: much is queued when its next step begins."""

    def scale(self):
        found = 1.0 if self.head.weight.abs().sum().item() < 1e9 else 0.5
        if self.head.weight.is_cuda:
            torch.cuda._sleep(5_000_000)  # clock cycles: a few milliseconds
        return found


class Timing(Net):
    """It waits for an event, which torch notices only in a capture."""

    def scale(self):
        if self.head.weight.is_cuda:
            event = torch.cuda.Event()
            event.record()
            event.synchronize()
        return 1.0
