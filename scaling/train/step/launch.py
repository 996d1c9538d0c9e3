"""How a run's steps are launched: kernel by kernel, or replayed from a CUDA graph; the results are the same."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Steps:
    """The steps of a run from number `at` on: what they read, at which rates, and the module that they train."""

    step: Step
    batches: Batches
    rates: Rates
    module: nn.Module
    device: torch.device
    at: int

    @property
    def captures(self) -> bool:
        """Whether a step may be part of a CUDA graph, as far as its optimiser is known."""
        return getattr(self.step.optimizer, "captures", False)

    def buffers(self) -> tuple[Inputs, Tensor]:
        """Return the inputs, and the buffer of the learning rates, as `Rates.bind` expects it."""
        return inputs_of(self.batches, self.at), on_host(self.rates.values(0.0), self.device).to(self.device)


class Eager:
    """Launches each step kernel by kernel; why: the reason for not using a graph, "" if none was wanted."""

    def __init__(self, steps: Steps, *, why: str = "") -> None:
        self.name = f"eager ({why})" if why else "eager"
        self.between, self._step, self._rates = steps.batches.between, steps.step, steps.rates

    def take(self, values: Sequence[Any], lr: float) -> None:
        """Set the rates and take the step."""
        self._rates.set(lr)
        self._step(*values)


class Buffered:
    """Launches steps that read their learning rates and examples from buffers, filled before each step.

    work: takes the step described by the buffers, by replaying a graph or by calling compiled kernels.
    """

    def __init__(self, name: str, inputs: Inputs, rates: Rates, rate_buffer: Tensor, work: Callable[[], None]) -> None:
        self.name, self.between, self._inputs, self._rates = name, inputs.between, inputs, rates
        self._rate_buffer, self._work = rate_buffer, work

    def take(self, values: Sequence[Any], lr: float) -> None:
        """Fill the buffers and take the step."""
        self._rate_buffer.copy_(on_host(self._rates.values(lr), self._rate_buffer.device), non_blocking=True)
        self._inputs.fill(values)
        self._work()


def launch_of(config: RunConfig, steps: Steps) -> Launch:
    """Return the launch of a run's steps: on a GPU from a graph if they can be captured, otherwise kernel by kernel."""
    compiled, why = config.train.engine == "compile", ""
    if compiled and not steps.captures:
        return Eager(steps, why="compiled")
    if steps.device.type == "cuda" and config.train.graph != "off":
        try:
            if config.recipe_version > 1 or compiled:
                return replayed(steps)
            why = "no graph: recipe 1"
        except NotCaptured as reason:
            log.warning(NO_GRAPH, reason)
            why = f"no graph: {reason}"
    return _compiled(steps, why) if compiled else Eager(steps, why=why)


def _compiled(steps: Steps, why: str) -> Buffered:
    """Return the launch of compiled steps; their learning rates are tensors, so that a change does not recompile."""
    inputs, rate_buffer = steps.buffers()

    def work() -> None:
        steps.rates.bind(rate_buffer)
        steps.step(*inputs.examples())
        steps.rates.set(0.0)  # plain numbers again, for checkpoints

    return Buffered(f"compiled ({why})" if why else "compiled", inputs, steps.rates, rate_buffer, work)


def replayed(steps: Steps, *, capture: Capture = capture) -> Buffered:
    """Capture a step and return its replay; NotCaptured if a replay would differ from the step."""
    step, rates, device = steps.step, steps.rates, steps.device
    if not steps.captures:
        raise NotCaptured(f"it is not known whether steps of {type(step.optimizer).__name__} can be")
    inputs, rate_buffer = steps.buffers()
    restorer = StepRestorer(step, steps.module, device)
    inputs.fill(next(iter(inputs.between(steps.at, steps.at + 1))))
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
