"""A constant learning rate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pydantic import NonNegativeInt

from scaling.config import Share
from scaling.schedules.warmup import check_one, length_of_rise, rise


@dataclass(frozen=True)
class Constant:
    """The full rate throughout, after a linear rise over the first `warmup` share of the steps (or `warmup_steps`)."""

    name: ClassVar[str] = "constant"

    warmup: Share = 0.0
    warmup_steps: NonNegativeInt | None = None

    def __post_init__(self) -> None:
        check_one(self.warmup, self.warmup_steps)

    def factor(self, step: int, steps: int) -> float:
        """Return what the learning rate is multiplied by in step `step` (from 0) of `steps`."""
        return rise(step, length_of_rise(self.warmup, self.warmup_steps, steps))
