"""The shapes of runs that the speed probe times: models, batches and features of noise."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Any, ClassVar

import numpy as np

from scaling.augment.none import Unchanged
from scaling.config import FROM_SCRATCH, RunConfig, Train, read_group
from scaling.data.base import Arrays, DataSet, Splits
from scaling.forecast.timing.conv_net import Convolving
from scaling.models.bottleneck import Bottleneck
from scaling.models.mlp import MLP
from scaling.optim.adamw import AdamW
from scaling.plan.planned import PlannedRun, plan_run
from scaling.schedules.constant import Constant

EXAMPLES = 4_096
MANY_STEPS = 1_000_000  # more than are timed
DRAWN = 1 << 20  # random numbers, which are repeated: drawing more would take longer than a large step


@dataclass(frozen=True, kw_only=True)
class Noise(DataSet):
    """Random examples and labels for timing; features: their number, or the shape of an image."""

    name: ClassVar[str] = "noise"
    classes: int = 10
    features: int | tuple[int, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one example."""
        return (self.features,) if isinstance(self.features, int) else self.features

    def load(self, D_unique: int | None, *, stream_seed: int = 0) -> Splits:
        """Draw the splits, which all runs of a stack share."""
        return _noise(self, D_unique or EXAMPLES)


@lru_cache(maxsize=32)  # each precision is timed on the same noise
def _noise(data: Noise, n: int) -> Splits:
    rng = np.random.default_rng(data.seed)

    def draw(rows: int) -> Arrays:
        shape = (rows, *data.shape)
        numbers = rng.standard_normal(min(prod(shape), DRAWN), dtype=np.float32)  # repeated below
        return Arrays(np.resize(numbers, shape), rng.integers(data.classes, size=rows))

    return Splits(draw(n), draw(64), draw(64), chance=float(np.log(data.classes)), chance_se=0.0)


@dataclass(frozen=True)
class Shape:
    """A model and a batch size for timing; features: the number of inputs, or the shape of an image."""

    model: Any
    batch: int
    features: int | tuple[int, ...]


SHAPES = (
    Shape(MLP(width=8, depth=1), 32, 16),
    Shape(MLP(width=16, depth=2), 128, 16),
    Shape(MLP(width=64, depth=2), 128, 16),
    Shape(MLP(width=64, depth=6), 128, 64),
    Shape(MLP(width=64, depth=2), 1024, 784),
    Shape(MLP(width=128, depth=2), 128, 784),
    Shape(MLP(width=256, depth=2), 512, 64),
    Shape(MLP(width=512, depth=3), 256, 256),
    Shape(MLP(width=1024, depth=2), 128, 64),
    Shape(MLP(width=1024, depth=2), 512, 64),
    Shape(Bottleneck(width=16, depth=2), 128, 16),
    Shape(Bottleneck(width=64, depth=4), 128, 64),
    Shape(Bottleneck(width=64, depth=1), 1024, 64),
    Shape(Bottleneck(width=192, depth=2), 256, 784),
)
USUAL = Shape(MLP(width=64, depth=2), 128, 784)  # of small images, to time what a run takes besides its steps
SHARED = SHAPES[2]  # trained by processes that share a device, to measure the gain
CROWDED = (SHAPES[2], SHAPES[5], SHAPES[8])  # timed while the other cores of a CPU train
LARGE = (  # for a GPU, which small shapes leave idle
    Shape(MLP(width=4096, depth=4), 4096, 3072),
    Shape(Bottleneck(width=1024, depth=6), 4096, 12_288),
    Shape(Bottleneck(width=256, depth=6), 16_384, 12_288),
)
CONVOLUTIONS = (
    Shape(Convolving(width=16, depth=3), 128, (1, 40)),
    Shape(Convolving(width=64, depth=3), 128, (1, 40)),
    Shape(Convolving(width=16, depth=2), 64, (1, 28, 28)),
    Shape(Convolving(width=32, depth=3), 32, (3, 32, 32)),
)
STACKS = (  # shapes and numbers of members, to measure the costs of stacks
    *((SHAPES[0], members) for members in (3, 24)),
    *((SHAPES[2], members) for members in (3, 16)),
    *((Shape(MLP(width=192, depth=2), 32, 16), members) for members in (3, 8)),
    (Shape(Bottleneck(width=32, depth=2), 128, 64), 6),
)
LARGE_STACKS = ((SHAPES[2], 256), (Shape(MLP(width=256, depth=2), 128, 64), 64))  # for a GPU
BESIDE = (SHAPES[1], 16)  # small enough for a GPU to compute several in parallel
GROWN_STACKS = ((SHAPES[2], 32), (SHAPES[2], 64))  # for a CPU, to find the size at which its caches are full


def planned_shape(shape: Shape, precision: Any, *, steps: int = MANY_STEPS) -> PlannedRun:
    """Plan a run of a shape on noise."""
    config = RunConfig(
        model=shape.model,
        data=Noise(size=max(EXAMPLES, shape.batch), features=shape.features),
        optim=AdamW(lr=1e-4),
        schedule=Constant(),
        augment=Unchanged(),
        train=Train(steps=steps, batch=shape.batch, precision=precision),
        seed=0,
        stage=read_group("stage", FROM_SCRATCH),
    )
    return plan_run(config, overrides={})
