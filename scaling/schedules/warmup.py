"""The linear rise at the start of every schedule."""

from __future__ import annotations


def rise(step: int, length: float) -> float:
    """Return (step + 1) / length, at most 1: the last step of the rise has the full rate."""
    return min(1.0, (step + 1) / length) if length > 1 else 1.0
