"""Modules whose steps are not the same each time."""

from __future__ import annotations

import random

import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, shape, outputs):
        super().__init__()
        self.body, self.head = nn.Linear(6, 8), nn.Linear(8, outputs)

    def forward(self, x):
        return self.head(self.scale() * self.body(x.flatten(1)).relu())

    def scale(self):
        return 1.0


class Counting(Net):
    """It warms up by its own count of calls."""

    calls = 0

    def scale(self):
        if self.training:
            self.calls += 1
        return min(1.0, self.calls / 10)


class Listing(Net):
    """It keeps a list of what it did."""

    def __init__(self, shape, outputs):
        super().__init__(shape, outputs)
        self.seen = {"calls": [0]}

    def scale(self):
        self.seen["calls"].append(len(self.seen["calls"]))
        return 1 + 0.01 * len(self.seen["calls"])


class Switching(Net):
    """It does something else every other time."""

    odd = False

    def scale(self):
        self.odd = not self.odd
        return 0.5 if self.odd else 1.0


class Moving(Net):
    """It keeps a moving average, a new tensor after each step."""

    def __init__(self, shape, outputs):
        super().__init__(shape, outputs)
        self.register_buffer("average", torch.zeros(8))

    def scale(self):
        if self.training:
            self.average = 0.9 * self.average + 0.1 * self.body.bias.detach()
        return 1.0 + self.average.mean()


class Averaging(Net):
    """It keeps a moving average in place, in a buffer that is not saved."""

    def __init__(self, shape, outputs):
        super().__init__(shape, outputs)
        self.register_buffer("average", torch.zeros(8), persistent=False)

    def scale(self):
        if self.training:
            self.average.lerp_(self.body.bias.detach(), 0.1)
        return 1.0 + self.average.mean()


class Drawing(Net):
    """It leaves its body out at random, by numbers drawn on the host."""

    def scale(self):
        return 0.0 if random.random() < 0.3 else 1.0 + 0.1 * torch.rand(()).item()
