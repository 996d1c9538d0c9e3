"""Cosine annealing (Loshchilov & Hutter 2017, arXiv 1608.03983)."""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, pi
from typing import ClassVar

from scaling.config import Share
from scaling.schedules.warmup import rise


@dataclass(frozen=True)
class Cosine:
    """A linear rise over the `warmup` share of the steps, then half a cosine down to the `final` share of the rate."""

    name: ClassVar[str] = "cosine"

    warmup: Share = 0.0
    final: Share = 0.0

    def factor(self, step: int, steps: int) -> float:
        """Return what the learning rate is multiplied by in step `step` (from 0) of `steps`."""
        start = self.warmup * steps
        if step < start:
            return rise(step, start)
        done = (step - start) / max(1.0, steps - start)
        return self.final + (1 - self.final) * 0.5 * (1 + cos(pi * done))
