"""Where runs are trained: conf/launcher/NAME.yaml names one of these and sets its keys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Local:
    """This machine: a queue in front of a fixed number of workers.

    `workers`: null for one a GPU, or on the CPU one for each `threads` cores; `threads`: of torch in each worker;
    `retries`: further tries of a run that crashed; `beat_seconds`: between two signs of life of a worker;
    `grace_seconds`: for the checkpoints after Ctrl-C.
    """

    name: ClassVar[str] = "local"

    workers: int | None = None
    threads: int = 1
    retries: int = 0
    beat_seconds: float = 1.0
    grace_seconds: float = 60.0


@dataclass(frozen=True)
class Limits:
    """What a sweep may spend, in all: hours of GPUs held and FLOPs (C); None: without limit."""

    gpu_hours: float | None = None
    flops: float | None = None

    def __bool__(self) -> bool:
        return self.gpu_hours is not None or self.flops is not None


UNLIMITED = Limits()
