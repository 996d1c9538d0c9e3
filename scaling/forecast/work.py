"""Count the work of a training step from the layers; a forecast multiplies it by costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Any

from scaling.accounting import Layer, count
from scaling.config import RunConfig
from scaling.forecast.speed import Costs

PER_WEIGHT, PER_ACTIVATION = 7, 4  # numbers: value, gradient, two moments, temporaries; outputs and gradients


@dataclass(frozen=True)
class StackShare:
    """How many runs, including itself, share a run's steps in its stack (members) and its fresh examples (readers)."""

    members: float = 1.0
    readers: float = 1.0


ALONE = StackShare()


@dataclass(frozen=True)
class Work:
    """The work of a training step, in the units of `scaling.forecast.speed.Costs`."""

    step: int
    layer: int
    flop: int
    weight: int
    activation: int
    input: int
    convolution: int
    map: int

    def seconds(self, costs: Costs) -> float:
        """Return the seconds of a step."""
        return self.fixed(costs) + self.passed(costs) + self.input * costs.input + self.weight * costs.weight

    @property
    def numbers(self) -> int:
        """The numbers that a step processes, including the optimiser's."""
        return PER_WEIGHT * self.weight + PER_ACTIVATION * self.activation + self.input

    def fixed(self, costs: Costs) -> float:
        """Return the seconds of a step that do not depend on sizes."""
        return self.step * costs.step + self.layer * costs.layer + self.convolution * costs.convolution

    def passed(self, costs: Costs) -> float:
        """Return the seconds of a step that are proportional to the number of examples."""
        return self.flop * costs.flop + self.activation * costs.activation + self.map * costs.map


def work(config: RunConfig, *, batch: int, layers: Sequence[Layer] | None = None) -> Work:
    """Return the work of a step on `batch` examples; layers: by default those of the config's model."""
    if layers is None:
        return work_of(config.model, config.data.shape, config.data.outputs, batch)
    return _work_in(layers, prod(config.data.shape), batch)


@lru_cache(maxsize=4096)  # the seeds and lengths of a plan share their models
def work_of(model: Any, shape: tuple[int, ...], outputs: int, batch: int) -> Work:
    """Return the work of a model's step on `batch` examples of `shape`."""
    return _work_in(model.layers(shape, outputs), prod(shape), batch)


def _work_in(layers: Sequence[Layer], numbers: int, batch: int) -> Work:
    """Return the work of a step; numbers: in an example."""
    counts = count(layers)
    return Work(
        step=1,
        layer=sum(layer.repeat for layer in layers if layer.weights or layer.others or layer.flops),
        flop=counts.C_counted(batch),
        weight=counts.N_total - counts.N_frozen,
        activation=sum(width_of(layer) * layer.repeat for layer in layers) * batch,
        input=numbers * batch,
        convolution=sum(layer.repeat for layer in layers if layer.maps),
        map=sum(layer.maps * layer.repeat for layer in layers) * batch,
    )


def width_of(layer: Layer) -> int:
    """Return about how many outputs a layer has for one example: its biases, or the side of a square matrix."""
    return (layer.others or round(layer.weights**0.5)) * layer.uses
