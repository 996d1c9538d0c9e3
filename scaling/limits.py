"""What a sweep may spend."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """What a sweep may spend, in all: hours of GPUs held and FLOPs (C); None: without limit."""

    gpu_hours: float | None = None
    flops: float | None = None

    def __bool__(self) -> bool:
        return self.gpu_hours is not None or self.flops is not None


UNLIMITED = Limits()
