"""The clock for timing a device, and how several timings are combined."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from statistics import median
from time import perf_counter, thread_time

import torch

Clock = Callable[[], float]


def clock_of(where: torch.device) -> Clock:
    """Return a clock in seconds: on a CPU of the time that this thread had it, so that other processes do not count."""
    return thread_time if where.type == "cpu" else perf_counter


def usual(seconds: Iterable[float], where: torch.device) -> float:
    """Return the one of several timings that counts: the fastest where other processes may have slowed the others.

    On a CPU it is the median: its clock stands while others are at work, and what is left, cold caches, slows runs too.
    """
    return median(seconds) if where.type == "cpu" else min(seconds)
