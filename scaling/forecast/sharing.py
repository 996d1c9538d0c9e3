"""Processes that share a GPU: measure their gain, and choose their number."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from itertools import pairwise

from scaling.devices import cores, thread_environment

COUNTS = (1, 2, 4, 8)
SECONDS = 0.7  # of training for each count
GAIN = 1.15  # least gain for which the number of processes is doubled, given their memory and start-up
BUSY = 0.5  # share of the rate of large products at which a GPU is fully used
HELD = 0.9  # share of a GPU's memory that may be used


def measured_sharing(device: str) -> dict[str, float]:
    """Return the steps a second of 1, 2, 4 and 8 processes that train small models, relative to one, by number.

    If two gain too little, more are not started.
    """
    workers, rates = list[subprocess.Popen[str]](), dict[int, int]()
    try:
        for count in COUNTS:
            if count > 2 and rates[2] < GAIN * rates[1]:
                break
            workers += _started(device, (2 if count <= 2 else COUNTS[-1]) - len(workers))
            rates[count] = sum(_steps(workers[:count]))
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
    return {str(count): rate / rates[1] for count, rate in rates.items()}


def _started(device: str, number: int) -> list[subprocess.Popen[str]]:
    """Start processes that train, and wait until they are ready."""
    environment = {**os.environ, **thread_environment(1)}
    command = [sys.executable, "-m", "scaling.forecast.sharing_worker", device]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "env": environment}
    workers = [subprocess.Popen(command, **pipes) for _ in range(number)]  # type: ignore[call-overload]
    for worker in workers:
        worker.stdout.readline()
    return workers


def _steps(workers: list[subprocess.Popen[str]]) -> list[int]:
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write(f"{SECONDS}\n")
        worker.stdin.flush()
    return [int(worker.stdout.readline()) for worker in workers if worker.stdout is not None]


def processes_that_pay(
    sharing: Mapping[str, float],
    *,
    products: float,
    card: int,
    work: Iterable[tuple[float, float | None]],
    memory: Iterable[float],
) -> int:
    """Return the best number of processes on a GPU, 1 if nothing is known.

    sharing: from `measured_sharing`; products: FLOP/s of large products; card: bytes of its memory; work: FLOPs and
    forecast seconds of each run; memory: forecast bytes of each.
    """
    known = [(C, seconds) for C, seconds in work if seconds]
    if not sharing or not known:
        return 1
    rate = sum(C for C, _ in known) / sum(seconds for _, seconds in known)
    room = HELD * card / max([*memory, 1.0]) if card else 1.0
    busy = BUSY * products / rate if products and rate else float("inf")
    return max(1, int(min(_best(sharing), busy, room, cores())))


def _best(sharing: Mapping[str, float]) -> int:
    """Return the largest number up to which each doubling had enough gain."""
    counts = sorted(int(count) for count in sharing)
    best = counts[0]
    for before, count in pairwise(counts):
        if sharing[str(count)] < GAIN * sharing[str(before)]:
            break
        best = count
    return best
