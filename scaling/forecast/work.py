"""Count from the layers the work of a training step, which a forecast multiplies by costs, and the memory of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import inf, prod
from typing import Any

from scaling.accounting import Layer, count
from scaling.config import RunConfig
from scaling.data.memory import MAPPED_BYTES
from scaling.forecast.speed import Costs
from scaling.models.custom import Custom
from scaling.plan.planned import PlannedRun
from scaling.train.sizes import EVALUATED_NUMBERS, EVALUATED_ROWS, HELD_SHARE, TRAIN_EXAMPLES, is_normalised_once

PER_WEIGHT, PER_ACTIVATION = 7, 4  # numbers: value, gradient, two moments, temporaries; outputs and gradients
STATE_BYTES = 16  # for each parameter: weight, gradient and two moments in float32
ACTIVATION_BYTES = 12  # for each output of a layer: itself, its normalised form and its gradient in float32
# For each parameter of a stack's member, measured on a CPU: its module is kept beside its row, and steps, evaluations
# and checkpoints need copies of rows.
MEMBER_STATE_BYTES = 72
INPUT_BYTES = 8  # for each number of a stack's batches
BASE_BYTES = {"cpu": 350_000_000, "cuda": 600_000_000}  # torch itself, the CUDA context


@dataclass(frozen=True)
class StackShare:
    """What a run shares with others, on average over its steps; the run itself counts too.

    members: the runs of its stack; drawn: the part of its fresh examples that is drawn for it (its worker has drawn the
    others for earlier runs); stacks: the stacks that take their steps in parallel on its GPU; runs: the runs of all
    these stacks; beside: a number that all these runs have and no others, 0 if only one stack is trained at a time
    (stacks of runs that were settled before always have one).
    """

    members: float = 1.0
    drawn: float = 1.0
    stacks: float = 1.0
    runs: float = 1.0
    beside: int = 0


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


def step_work(config: RunConfig, *, batch: int, layers: Sequence[Layer] | None = None) -> Work:
    """Return the work of a step on `batch` examples; layers: by default those of the config's model."""
    if layers is None:
        return model_work(config.model, config.data.shape, config.data.outputs, batch)
    return _work_in(layers, prod(config.data.shape), batch)


def member_work(run: PlannedRun, *, batch: int) -> Work:
    """Return the work of a stack's step for one member; if it reads features of a checkpoint, only that of its head."""
    config = run.config
    layers = config.model.layers(run.input_shape, config.data.outputs)
    if config.stage.featured:
        layers = [layer for layer in layers if layer.role == "head"]
    return step_work(config, batch=batch, layers=layers)


@lru_cache(maxsize=4096)  # the seeds and lengths of a plan share their models
def model_work(model: Any, shape: tuple[int, ...], outputs: int, batch: int) -> Work:
    """Return the work of a model's step on `batch` examples of `shape`."""
    return _work_in(model.layers(shape, outputs), prod(shape), batch)


def _work_in(layers: Sequence[Layer], numbers: int, batch: int) -> Work:
    """Return the work of a step; numbers: in an example."""
    counts = count(layers).in_batches(batch)
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


def has_custom_module(run: PlannedRun) -> bool:
    """Return whether a run trains a module that the config names by its import path (model=custom)."""
    return isinstance(run.config.model, Custom)


def memory_bytes(run: PlannedRun, *, kind: str, members: float = 1.0, card: int = 0) -> int:
    """Return about how many bytes of the device's memory a run needs, or its whole stack of `members`.

    kind: of device, cpu or cuda; card: memory of the GPU in bytes, 0 if unknown.
    """
    if members > 1:
        return BASE_BYTES[kind] + stack_bytes(run, kind, members, card=card)
    batch = run.quantities.batch
    step = model_work(run.config.model, run.input_shape, run.config.data.outputs, 1)
    rows = max(min(run.config.train.micro_batch or batch, batch), EVALUATED_ROWS[kind])
    own = STATE_BYTES * step.weight + rows * ACTIVATION_BYTES * step.activation
    return BASE_BYTES[kind] + own + _set_bytes(run, kind=kind, card=card)


def stack_bytes(run: PlannedRun, kind: str, members: float, sets: int = 1, *, card: int = 0) -> int:
    """Return the bytes that a stack of such runs needs in addition to what any training process holds.

    sets: number of different data sets (subsets, seeds) that the members read; kind, card: see `memory_bytes`.
    """
    batch, one = run.quantities.batch, member_work(run, batch=1)
    rows = min(run.config.train.micro_batch or batch, batch)
    trained = members * rows * (ACTIVATION_BYTES * one.activation + INPUT_BYTES * one.input)
    evaluated = _evaluated_at_once(run, kind=kind, members=members) * ACTIVATION_BYTES * one.activation
    own = members * MEMBER_STATE_BYTES * one.weight + max(trained, evaluated)
    return int(own) + sets * _set_bytes(run, kind=kind, card=card)


def _set_bytes(run: PlannedRun, *, kind: str, card: int) -> int:
    """Return the bytes of a run's data set on the device."""
    config, quantities = run.config, run.quantities
    subset = 0 if quantities.fresh else quantities.D_unique
    sample = min(TRAIN_EXAMPLES, quantities.D_unique)
    held_out = (config.data.n_validation, config.data.n_test)
    most = HELD_SHARE * (card or inf) if kind == "cuda" else MAPPED_BYTES
    return _held_bytes(config, subset, reads=quantities.D, most=most) + sum(
        _held_bytes(config, examples, reads=examples, most=most) for examples in (sample, *held_out)
    )


def _evaluated_at_once(run: PlannedRun, *, kind: str, members: float) -> float:
    """Return how many examples of a stack's members together are evaluated at a time."""
    config = run.config
    if has_custom_module(run):  # such members are evaluated one by one
        return EVALUATED_ROWS[kind]
    layers = config.model.layers(run.input_shape, config.data.outputs)
    widest = max(prod(config.data.shape), *map(width_of, layers))
    return min(members * EVALUATED_ROWS[kind], EVALUATED_NUMBERS[kind] / widest)


def _held_bytes(config: RunConfig, examples: int, *, reads: int, most: float) -> int:
    """Return the bytes of a data set on the device: stored images (uint8) and, if small, normalised ones; else float32.

    Images of more than `most` bytes stay in their file or in host memory, and are copied batch by batch.
    """
    numbers = prod(config.data.shape) * examples
    if len(config.data.shape) != 3:
        return 4 * numbers
    normalised = 4 * numbers if is_normalised_once(numbers, examples=examples, reads=reads) else 0
    return (numbers if numbers <= most else 0) + normalised
