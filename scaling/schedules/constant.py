"""A constant learning rate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pydantic import NonNegativeInt

from scaling.config import Share
from scaling.schedules.warmup import Warmup


@dataclass(frozen=True)
class Constant(Warmup):
    """The full rate throughout, after a linear rise over the first `warmup` share of the steps (or `warmup_steps`)."""

    name: ClassVar[str] = "constant"

    warmup: Share = 0.0
    warmup_steps: NonNegativeInt | None = None

    def factor(self, step: int, steps: int) -> float:
        """Return what the learning rate is multiplied by in step `step` (from 0) of `steps`."""
        return self.rise(step, steps)
