"""The limits of a sweep's cost."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """The limits of a sweep's total cost: hours of GPUs held and FLOPs (C); None: no limit."""

    gpu_hours: float | None = None
    flops: float | None = None

    def __bool__(self) -> bool:
        return self.gpu_hours is not None or self.flops is not None


UNLIMITED = Limits()
