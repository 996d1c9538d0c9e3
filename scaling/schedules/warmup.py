"""The linear warm-up at the start of every schedule."""

from __future__ import annotations

from scaling.errors import UserError


def rise(step: int, length: float) -> float:
    """Return (step + 1) / length, at most 1: the last step of the rise has the full rate."""
    return min(1.0, (step + 1) / length) if length > 1 else 1.0


def check_one(warmup: float, warmup_steps: int | None) -> None:
    """Raise UserError if the warm-up is given both as a share of the steps and as a number of steps."""
    if warmup and warmup_steps is not None:
        raise UserError(f"found schedule.warmup={warmup:g} and warmup_steps={warmup_steps}; wanted one; drop the other")


def length_of_rise(warmup: float, warmup_steps: int | None, steps: int) -> float:
    """Return the number of warm-up steps in a run of `steps`."""
    return warmup * steps if warmup_steps is None else float(warmup_steps)
