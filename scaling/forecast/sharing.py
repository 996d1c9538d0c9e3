"""Processes that train beside each other: their gain on a GPU, their number there, and what they cost a CPU's cores."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import pairwise
from typing import Self

from scaling.devices import cores, thread_environment

COUNTS, FIRST = (1, 2, 4, 8), 2  # numbers of processes; how many are started first
SECONDS = 0.7  # of training for each count
GAIN = 1.15  # least gain for which the number of processes is doubled, given their memory and start-up
BUSY = 0.5  # share of the rate of large products at which a GPU is fully used
HELD = 0.9  # share of a GPU's memory that may be used


class SharingProcesses:
    """Processes that train small models on a device; started early, as each imports torch. They end with the block."""

    def __init__(self, device: str) -> None:
        self._command = [sys.executable, "-m", "scaling.forecast.sharing_worker", device]
        self._processes = list[subprocess.Popen[str]]()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.kill()
            process.communicate()  # closes the pipes and waits

    def start(self, number: int) -> None:
        """Start processes until there are `number` of them."""
        while len(self._processes) < number:
            self._processes.append(
                subprocess.Popen(
                    self._command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                    env={**os.environ, **thread_environment(1)},
                    start_new_session=True,  # Ctrl-C ends the probe, which ends them
                )
            )

    def gains(self) -> dict[str, float]:
        """Return the steps a second of 1, 2, 4 and 8 of the processes, relative to one, by number.

        If two gain too little, more are not started.
        """
        rates = dict[int, int]()
        for count in COUNTS:
            if count > FIRST and rates[FIRST] < GAIN * rates[1]:
                break
            self.start(FIRST if count <= FIRST else COUNTS[-1])
            rates[count] = sum(self._steps(count))
        return {str(count): rate / rates[1] for count, rate in rates.items()}

    def wait(self) -> None:
        """Wait until all processes are ready, so that none disturbs by its start."""
        for process in self._processes:
            self._ask(process, 0.0)
        self._answers(self._processes)

    @contextmanager
    def training(self) -> Iterator[None]:
        """Let all processes train during the block; afterwards wait for them."""
        for process in self._processes:
            self._ask(process, SECONDS)
        yield
        self._answers(self._processes)

    def _steps(self, count: int) -> list[int]:
        """Let the first `count` processes train together, and return their numbers of steps."""
        self.wait()
        used = self._processes[:count]
        for process in used:
            self._ask(process, SECONDS)
        return self._answers(used)

    @staticmethod
    def _ask(process: subprocess.Popen[str], seconds: float) -> None:
        assert process.stdin is not None
        process.stdin.write(f"{seconds}\n")
        process.stdin.flush()

    @staticmethod
    def _answers(processes: Iterable[subprocess.Popen[str]]) -> list[int]:
        return [int(process.stdout.readline()) for process in processes if process.stdout is not None]


def processes_that_pay(
    sharing: Mapping[str, float],
    *,
    products: float,
    card: int,
    work: Iterable[tuple[float, float | None]],
    memory: Iterable[float],
) -> int:
    """Return the best number of processes on a GPU, 1 if nothing is known.

    sharing: from `SharingProcesses.gains`; products: FLOP/s of large products; card: bytes of its memory; work: FLOPs
    and forecast seconds of each run; memory: forecast bytes of each.
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
