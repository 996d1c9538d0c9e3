"""The clock that a device is timed by."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter, thread_time

import torch

Clock = Callable[[], float]


def clock_of(where: torch.device) -> Clock:
    """Return a clock in seconds: on a CPU of the time that this thread had it, so that other processes do not count."""
    return thread_time if where.type == "cpu" else perf_counter
