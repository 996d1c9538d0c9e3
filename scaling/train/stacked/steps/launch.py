"""How the steps of a stack are launched: kernel by kernel, or replayed from a graph; the numbers are the same."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from scaling.config import Train
from scaling.train.stacked.steps.inputs import Block, Buffers
from scaling.train.stacked.steps.step import StackedStep
from scaling.train.step.graph import NotCaptured, capture
from scaling.train.step.launch import NO_GRAPH
from scaling.train.step.restore import Capture, Restorer, captured

log = logging.getLogger(__name__)


class Launch(Protocol):
    """Takes steps; holds_rows: those of members that have left stay where they are."""

    name: str  # as the record calls it
    holds_rows: bool

    def prepare(self, block: Block) -> None:
        """Get ready what the steps of a block read, beside what the device is at."""

    def steps(self, block: Block) -> Iterator[None]:
        """Take the steps of a block, one each time that the iterator is asked for the next."""


class Eager:
    """Each step's kernels are launched one after the other; shape: of an example; why: no graph is used, or ""."""

    holds_rows = False

    def __init__(self, step: StackedStep, shape: tuple[int, ...], device: torch.device, *, why: str = "") -> None:
        self.name = f"eager ({why})" if why else "eager"
        self._step, self._shape, self._device = step, shape, device

    def prepare(self, block: Block) -> None:
        """Leave it to the steps: their kernels keep this process busy."""

    def steps(self, block: Block) -> Iterator[None]:
        """Take the steps of a block."""
        table = block.table(self._device).to(self._device, non_blocking=True)
        for (x, y), numbers in zip(block.feed.batches(len(block), self._device, self._shape), table, strict=True):
            self._step(x, y, numbers)
            yield


class Replayed:
    """Each step is a replay of one that was captured, which reads from buffers that are filled for some steps."""

    name, holds_rows = "graph", True

    def __init__(self, buffers: Buffers, replay: Callable[[], None]) -> None:
        self._buffers, self._replay = buffers, replay
        self._ready: tuple[Block, list[Tensor]] | None = None

    def prepare(self, block: Block) -> None:
        """Get the values for the first steps of a block."""
        self._ready = (block, self._buffers.values(block, 0, min(self._buffers.steps, len(block))))

    def steps(self, block: Block) -> Iterator[None]:
        """Take the steps of a block."""
        for start in range(0, len(block), self._buffers.steps):
            stop = min(start + self._buffers.steps, len(block))
            self._buffers.fill(self._values(block, start, stop))
            for _ in range(start, stop):
                self._replay()
                yield

    def _values(self, block: Block, start: int, stop: int) -> list[Tensor]:
        ready, self._ready = self._ready, None
        if ready is not None and ready[0] is block and start == 0:
            return ready[1]
        return self._buffers.values(block, start, stop)


def launch_of(
    train: Train,
    step: StackedStep,
    block: Block,
    module: nn.Module,
    device: torch.device,
    *,
    generators: Sequence[torch.Generator],
    shape: tuple[int, ...],
) -> Launch:
    """Return how the steps from those of a block on are launched: from a graph on a GPU, where they can be captured.

    module: of one of the members; generators: those from which the step draws; shape: of an example.
    """
    if device.type != "cuda" or train.graph == "off":
        return Eager(step, shape, device)
    try:
        return replayed(step, block, module, device, generators=generators)
    except NotCaptured as reason:
        log.warning(NO_GRAPH, reason)
        return Eager(step, shape, device, why=f"no graph: {reason}")


def replayed(
    step: StackedStep,
    block: Block,
    module: nn.Module,
    device: torch.device,
    *,
    generators: Sequence[torch.Generator],
    capture: Capture = capture,
) -> Replayed:
    """Capture a step and return what replays it; NotCaptured where that would not be the same step each time."""
    buffers = Buffers(block, device)
    buffers.fill(buffers.values(block, 0, 1))
    restorer = Restorer([*_changed(step), buffers.places], generators, module, device)

    def work() -> None:
        step(*buffers.read())

    return Replayed(buffers, captured(work, restorer, device, generators=generators, capture=capture))


def _changed(step: StackedStep) -> list[Tensor]:
    """Return what a step changes: weights, running statistics, moments and sums."""
    return [step.rows.trained, *step.rows.fixed.values(), *step.optimiser.changed, step.totals]
