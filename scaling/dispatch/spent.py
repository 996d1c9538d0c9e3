"""The cost of a sweep so far, and whether another run fits its limits."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass

from scaling.dispatch.claims.claim import read_claim
from scaling.dispatch.queue import Entry
from scaling.dispatch.states.attempts import SETTLED, read_attempts
from scaling.dispatch.states.state import Planned
from scaling.folders import RunFolder, SweepFolder, exists
from scaling.limits import Limits
from scaling.numbers import flops


@dataclass(frozen=True)
class Spent:
    """GPU-hours and FLOPs that were spent, including runs in flight."""

    gpu_hours: float = 0.0
    flops: float = 0.0

    def __add__(self, other: Spent) -> Spent:
        return Spent(self.gpu_hours + other.gpu_hours, self.flops + other.flops)

    def plus(self, entry: Entry | Planned, gpus: int) -> Spent:
        """Add the forecast cost of a run."""
        return Spent(self.gpu_hours + (entry.forecast_seconds or 0.0) * gpus / 3600, self.flops + entry.C)


NOTHING = Spent()


def spent(folder: SweepFolder, queue: Iterable[Entry | Planned], *, gpus: int, flying: bool = True) -> Spent:
    """Add up the cost of a sweep's runs; flying: include runs in flight, at their full forecast.

    A run that was trained again on request counts again.
    """
    gpu_seconds = flops = 0.0
    for entry in queue:
        files = folder.run(entry.run_id)
        tried = read_attempts(files)
        gpu_seconds += sum(float(attempt.get("gpu_seconds") or 0.0) for attempt in tried)
        in_flight = _in_flight(files, entry, gpus) if flying else None
        gpu_seconds += in_flight or 0.0
        bought = sum(attempt.get("cause") in SETTLED for attempt in tried)
        flops += entry.C * (max(bought, exists(files.record)) + (in_flight is not None))
    return Spent(gpu_seconds / 3600, flops)


def _in_flight(files: RunFolder, entry: Entry | Planned, gpus: int) -> float | None:
    """Return the GPU-seconds that a claimed run will have taken, None for a run that is settled or not claimed."""
    if exists(files.record):
        return None
    claim = read_claim(files.claim)
    if claim is None:
        return None
    elapsed = max(0.0, time.time() - claim.since)
    return max(elapsed, entry.forecast_seconds or 0.0) * (claim.gpus or gpus)


def beyond(limits: Limits, so_far: Spent, entry: Entry, *, gpus: int) -> str:
    """Return one sentence on why a run does not fit the limits, '' if it does."""
    hours = so_far.plus(entry, gpus).gpu_hours
    if limits.flops is not None and so_far.flops + entry.C > limits.flops:
        return f"the limit of {flops(limits.flops)} FLOPs is reached ({flops(so_far.flops)} spent)"
    if limits.gpu_hours is not None and (hours > limits.gpu_hours or so_far.gpu_hours >= limits.gpu_hours > 0):
        return f"the limit of {limits.gpu_hours:g} GPU-hours is reached ({so_far.gpu_hours:.3g} spent)"
    return ""
