"""Choose the clock for timing a device, and combine several timings."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from statistics import median
from time import perf_counter, thread_time

import torch

Clock = Callable[[], float]


def clock_of(where: torch.device) -> Clock:
    """Return a clock in seconds: for a CPU this thread's CPU time, which excludes other processes."""
    return thread_time if where.type == "cpu" else perf_counter


def typical(seconds: Iterable[float], where: torch.device) -> float:
    """Return one time for several timings: on a GPU the fastest, since other processes may have slowed the others.

    On a CPU it is the median: its clock excludes other processes, and cold caches, for example, slow training as well.
    """
    return median(seconds) if where.type == "cpu" else min(seconds)
