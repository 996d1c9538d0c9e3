"""How a run's steps are launched: kernel by kernel, or replayed from a CUDA graph; the results are the same."""

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

NO_GRAPH = "the steps are launched kernel by kernel, because they cannot be captured as a graph: %s"

log = logging.getLogger(__name__)


class Launch(Protocol):
    """A way to launch training steps."""

    name: str  # as the record calls it

    def between(self, start: int, stop: int) -> Iterator[Sequence[Any]]:
        """Yield the inputs of each step from `start` up to `stop`."""

    def take(self, values: Sequence[Any], lr: float) -> None:
        """Take a step on its inputs, at learning rate `lr`."""


class Eager:
    """Launches each step kernel by kernel; why: the reason for not using a graph, "" if none was wanted."""

    def __init__(self, step: Step, batches: Batches, rates: Rates, *, why: str = "") -> None:
        self.name = f"eager ({why})" if why else "eager"
        self.between, self._step, self._rates = batches.between, step, rates

    def take(self, values: Sequence[Any], lr: float) -> None:
        """Set the rates and take the step."""
        self._rates.set(lr)
        self._step(*values)


class Buffered:
    """Launches steps that read their learning rates and examples from buffers, filled before each step.

    rate_buffer: of the learning rates, as `Rates.bind` expects it; work: takes the step described by the buffers, by
    replaying a graph or by calling compiled kernels.
    """

    def __init__(self, name: str, inputs: Inputs, rates: Rates, rate_buffer: Tensor, work: Callable[[], None]) -> None:
        self.name, self.between, self._inputs, self._rates = name, inputs.between, inputs, rates
        self._rate_buffer, self._work = rate_buffer, work

    def take(self, values: Sequence[Any], lr: float) -> None:
        """Fill the buffers and take the step."""
        self._rate_buffer.copy_(on_host(self._rates.values(lr), self._rate_buffer.device), non_blocking=True)
        self._inputs.fill(values)
        self._work()


def launch_of(
    config: RunConfig, step: Step, batches: Batches, rates: Rates, module: nn.Module, device: torch.device, *, at: int
) -> Launch:
    """Return the launch of the steps from `at` on: on a GPU from a graph if the step can be captured."""
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
    """Return the launch of compiled steps; their learning rates are tensors, so that a change does not recompile."""
    if not getattr(step.optimizer, "captures", False):
        return Eager(step, batches, rates, why="compiled")
    name = "compiled"
    if device.type == "cuda" and config.train.graph != "off":
        try:
            return replayed(step, batches, rates, module, device, at=at)
        except NotCaptured as reason:
            log.warning(NO_GRAPH, reason)
            name = f"compiled (no graph: {reason})"
    inputs, rate_buffer = inputs_of(batches, at), on_host(rates.values(0.0), device).to(device)

    def work() -> None:
        rates.bind(rate_buffer)
        step(*inputs.examples())
        rates.set(0.0)  # plain numbers again, for checkpoints

    return Buffered(name, inputs, rates, rate_buffer, work)


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
    """Capture a step and return its replay; NotCaptured if a replay would differ from the step."""
    if not getattr(step.optimizer, "captures", False):
        raise NotCaptured(f"it is not known whether steps of {type(step.optimizer).__name__} can be")
    inputs, restorer = inputs_of(batches, at), StepRestorer(step, module, device)
    inputs.fill(next(iter(inputs.between(at, at + 1))))
    rate_buffer = on_host(rates.values(0.0), device).to(device)
    rates.bind(rate_buffer)

    def work() -> None:
        step(*inputs.examples())

    replay = captured(work, restorer, device, generators=_generators(step, device), capture=capture)
    rates.set(0.0)  # plain numbers again, for checkpoints; a replay reads the buffer
    return Buffered("graph", inputs, rates, rate_buffer, replay)


def on_host(values: Sequence[float], device: torch.device) -> Tensor:
    """Return numbers as a float32 tensor on the host, pinned for a GPU."""
    found = torch.tensor(values, dtype=torch.float32)
    return found.pin_memory() if device.type == "cuda" else found


def _generators(step: Step, device: torch.device) -> list[torch.Generator]:
    return [step.generator] if step.augment is not None and step.generator.device.type == device.type else []
