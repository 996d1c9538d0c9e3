"""Cosine annealing (Loshchilov & Hutter 2017, arXiv 1608.03983)."""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, pi
from typing import ClassVar

from pydantic import NonNegativeInt

from scaling.config import Share
from scaling.schedules.warmup import Warmup


@dataclass(frozen=True)
class Cosine(Warmup):
    """A linear rise over the `warmup` share of the steps, then half a cosine down to the `final` share of the rate.

    warmup_steps: the length of the rise in steps, in place of a share.
    """

    name: ClassVar[str] = "cosine"

    warmup: Share = 0.0
    final: Share = 0.0
    warmup_steps: NonNegativeInt | None = None

    def factor(self, step: int, steps: int) -> float:
        """Return what the learning rate is multiplied by in step `step` (from 0) of `steps`."""
        start = self.rising_steps(steps)
        if step < start:
            return self.rise(step, steps)
        done = (step - start) / max(1.0, steps - start)
        return self.final + (1 - self.final) * 0.5 * (1 + cos(pi * done))
