"""The linear warm-up at the start of every schedule."""

from __future__ import annotations

from scaling.errors import UserError


class Warmup:
    """A schedule that begins with a linear rise; schedules are dataclasses with these keys.

    warmup: share of the steps; warmup_steps: number of steps, in place of a share.
    """

    warmup: float
    warmup_steps: int | None

    def __post_init__(self) -> None:
        if self.warmup and self.warmup_steps is not None:
            both = f"schedule.warmup={self.warmup:g} and warmup_steps={self.warmup_steps}"
            raise UserError(f"found {both}; wanted one; drop the other")

    def rising_steps(self, steps: int) -> float:
        """Return the number of warm-up steps in a run of `steps`."""
        return self.warmup * steps if self.warmup_steps is None else float(self.warmup_steps)

    def rise(self, step: int, steps: int) -> float:
        """Return (step + 1) / warm-up steps, at most 1: the last step of the rise has the full rate."""
        length = self.rising_steps(steps)
        return min(1.0, (step + 1) / length) if length > 1 else 1.0
