"""How a stack's steps are launched: kernel by kernel, or replayed from a CUDA graph; the results are the same."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
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
    """A way to launch steps; holds_rows: the rows of members that have left must stay."""

    name: str  # as the record calls it
    holds_rows: bool

    def prepare(self, block: Block) -> None:
        """Compute the inputs of a block of steps while the device works."""

    def steps(self, block: Block) -> Iterator[None]:
        """Take the steps of a block, one for each iteration."""


@dataclass(frozen=True)
class Steps:
    """The steps of a stack from a block on; module: of one of the members; generators: used by the step; shape: of an
    example."""

    step: StackedStep
    block: Block
    module: nn.Module
    device: torch.device
    generators: Sequence[torch.Generator]
    shape: tuple[int, ...]


class Eager:
    """Launches each step kernel by kernel; why: the reason for not using a graph, "" if none was wanted."""

    holds_rows = False

    def __init__(self, steps: Steps, *, why: str = "") -> None:
        self.name = f"eager ({why})" if why else "eager"
        self._step, self._shape, self._device = steps.step, steps.shape, steps.device

    def prepare(self, block: Block) -> None:
        """Do nothing: launching kernels keeps this process busy."""

    def steps(self, block: Block) -> Iterator[None]:
        """Take the steps of a block."""
        table = block.table(self._device).to(self._device, non_blocking=True)
        for (x, y), factors in zip(block.feed.batches(len(block), self._device, self._shape), table, strict=True):
            self._step(x, y, factors)
            yield


class Replayed:
    """Replays a captured step, which reads from buffers that are filled for several steps at a time."""

    name, holds_rows = "graph", True

    def __init__(self, buffers: Buffers, replay: Callable[[], None]) -> None:
        self._buffers, self._replay = buffers, replay
        self._ready: tuple[Block, list[Tensor]] | None = None

    def prepare(self, block: Block) -> None:
        """Compute the buffers' values for the first steps of a block."""
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


def launch_of(train: Train, steps: Steps) -> Launch:
    """Return the launch of a stack's steps: on a GPU from a graph if they can be captured."""
    if steps.device.type != "cuda" or train.graph == "off":
        return Eager(steps)
    try:
        return replayed(steps)
    except NotCaptured as reason:
        log.warning(NO_GRAPH, reason)
        return Eager(steps, why=f"no graph: {reason}")


def replayed(steps: Steps, *, capture: Capture = capture) -> Replayed:
    """Capture a step and return its replay; NotCaptured if a replay would differ from the step."""
    step, device = steps.step, steps.device
    buffers = Buffers(steps.block, device)
    buffers.fill(buffers.values(steps.block, 0, 1))
    changed = [step.rows.trained, *step.rows.fixed.values(), *step.optimiser.changed, step.totals]
    restorer = Restorer([*changed, buffers.places], steps.generators, steps.module, device)

    def work() -> None:
        step(*buffers.read())

    return Replayed(buffers, captured(work, restorer, device, generators=steps.generators, capture=capture))
