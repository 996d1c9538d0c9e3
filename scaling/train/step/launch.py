"""How a run's steps are launched: one kernel after the other, or replayed from a graph; the numbers are the same."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from scaling.config import RunConfig
from scaling.train.feed.feed import Batches
from scaling.train.step.graph import NotCaptured, capture
from scaling.train.step.inputs import Inputs, inputs_of
from scaling.train.step.prepared import Step
from scaling.train.step.rates import Rates
from scaling.train.step.restore import Capture, StepRestorer, captured

NO_GRAPH = "the steps are launched kernel by kernel, for they cannot be captured as a graph: %s"

log = logging.getLogger(__name__)


class Launch(Protocol):
    """Takes steps."""

    name: str  # as the record calls it

    def between(self, start: int, stop: int) -> Iterator[Sequence[Any]]:
        """Yield what the steps from `start` up to `stop` read."""

    def take(self, values: Sequence[Any], lr: float) -> None:
        """Take a step on what it reads, at a rate."""


class Eager:
    """Each step's kernels are launched one after the other; why: no graph is used, "" where none is wanted."""

    def __init__(self, step: Step, batches: Batches, rates: Rates, *, why: str = "") -> None:
        self.name = f"eager ({why})" if why else "eager"
        self.between, self._step, self._rates = batches.between, step, rates

    def take(self, values: Sequence[Any], lr: float) -> None:
        """Set the rates and take the step."""
        self._rates.set(lr)
        self._step(*values)


class Buffered:
    """Each step reads its rates and its examples from buffers, which are filled before it.

    work: takes the step that the buffers hold: a replay of a captured one, or one of compiled kernels.
    """

    def __init__(self, name: str, inputs: Inputs, rates: Rates, numbers: Tensor, work: Callable[[], None]) -> None:
        self.name, self.between, self._inputs, self._rates = name, inputs.between, inputs, rates
        self._numbers, self._work = numbers, work

    def take(self, values: Sequence[Any], lr: float) -> None:
        """Fill the buffers and take the step."""
        self._numbers.copy_(on_host(self._rates.values(lr), self._numbers.device), non_blocking=True)
        self._inputs.fill(values)
        self._work()


def launch_of(
    config: RunConfig, step: Step, batches: Batches, rates: Rates, module: nn.Module, device: torch.device, *, at: int
) -> Launch:
    """Return how the steps from `at` on are launched: from a graph on a GPU, where the step can be captured."""
    if config.train.engine == "compile":
        return _compiled(config, step, batches, rates, module, device, at=at)
    if device.type != "cuda" or config.train.graph == "off":
        return Eager(step, batches, rates)
    if config.recipe_version == 1:
        return Eager(step, batches, rates, why="no graph: recipe 1")
    try:
        return replayed(step, batches, rates, module, device, at=at)
    except NotCaptured as reason:
        log.warning(NO_GRAPH, reason)
        return Eager(step, batches, rates, why=f"no graph: {reason}")


def _compiled(
    config: RunConfig, step: Step, batches: Batches, rates: Rates, module: nn.Module, device: torch.device, *, at: int
) -> Launch:
    """Return how compiled steps are launched: their rates are tensors, which no step is compiled anew for."""
    if not getattr(step.optimizer, "captures", False):
        return Eager(step, batches, rates, why="compiled")
    name = "compiled"
    if device.type == "cuda" and config.train.graph != "off":
        try:
            return replayed(step, batches, rates, module, device, at=at)
        except NotCaptured as reason:
            log.warning(NO_GRAPH, reason)
            name = f"compiled (no graph: {reason})"
    inputs, numbers = inputs_of(batches, at), on_host(rates.values(0.0), device).to(device)

    def work() -> None:
        rates.bind(numbers)
        step(*inputs.examples())
        rates.set(0.0)  # numbers again, for checkpoints

    return Buffered(name, inputs, rates, numbers, work)


def replayed(
    step: Step,
    batches: Batches,
    rates: Rates,
    module: nn.Module,
    device: torch.device,
    *,
    at: int,
    capture: Capture = capture,
) -> Buffered:
    """Capture a step and return what replays it; NotCaptured where that would not be the same step each time."""
    if not getattr(step.optimizer, "captures", False):
        raise NotCaptured(f"it is not known whether steps of {type(step.optimizer).__name__} can be")
    inputs, restorer = inputs_of(batches, at), StepRestorer(step, module, device)
    inputs.fill(next(iter(inputs.between(at, at + 1))))
    numbers = on_host(rates.values(0.0), device).to(device)
    rates.bind(numbers)

    def work() -> None:
        step(*inputs.examples())

    replay = captured(work, restorer, device, generators=_generators(step, device), capture=capture)
    rates.set(0.0)  # numbers again, for checkpoints; a replay reads the buffer
    return Buffered("graph", inputs, rates, numbers, replay)


def on_host(values: Sequence[float], device: torch.device) -> Tensor:
    """Return numbers as float32 in memory that a GPU copies from without waiting."""
    found = torch.tensor(values, dtype=torch.float32)
    return found.pin_memory() if device.type == "cuda" else found


def _generators(step: Step, device: torch.device) -> list[torch.Generator]:
    return [step.generator] if step.augment is not None and step.generator.device.type == device.type else []
