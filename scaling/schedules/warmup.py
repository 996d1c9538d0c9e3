"""The linear rise at the start of every schedule."""

from __future__ import annotations


def rise(step: int, length: float) -> float:
    """Return (step + 1) / length up to 1: the first step already moves, the last one of the rise has the full rate."""
    return min(1.0, (step + 1) / length) if length > 1 else 1.0
