"""Warm-up, stable, decay (Hu et al. 2024, arXiv 2404.06395; linear decay: Hägele et al. 2024, arXiv 2405.18392)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pydantic import NonNegativeInt

from scaling.config import Share
from scaling.schedules.warmup import Warmup


@dataclass(frozen=True)
class WarmupStableDecay(Warmup):
    """A linear rise over the `warmup` share of the steps, the full rate, a linear fall over the last `decay` share.

    final: share of the rate that the fall ends at; warmup_steps: the length of the rise in steps, in place of a share.
    """

    name: ClassVar[str] = "wsd"

    warmup: Share = 0.0
    decay: Share = 0.2
    final: Share = 0.0
    warmup_steps: NonNegativeInt | None = None

    def factor(self, step: int, steps: int) -> float:
        """Return what the learning rate is multiplied by in step `step` (from 0) of `steps`."""
        fall = self.decay * steps
        left = min(1.0, (steps - step) / fall) if fall > 1 else 1.0
        return self.rise(step, steps) * (self.final + (1 - self.final) * left)
