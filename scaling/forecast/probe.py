"""The speed probe: how fast a device trains, by the real loop on a few shapes, in some seconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any, ClassVar

import numpy as np
import torch
from scipy.optimize import nnls

from scaling.augment.none import Unchanged
from scaling.config import FROM_SCRATCH, RunConfig, Train, read_group
from scaling.data.base import Arrays, DataSet, Splits
from scaling.data.linear_teacher import LinearTeacher
from scaling.data.mnist1d import Mnist1d
from scaling.data.teacher import Teacher
from scaling.folders import RunFolder
from scaling.forecast.estimate import work
from scaling.forecast.speed import Costs, Speed
from scaling.global_streams import kept_streams
from scaling.models.bottleneck import Bottleneck
from scaling.models.mlp import MLP
from scaling.optim.adamw import AdamW
from scaling.plan.planned import PlannedRun, plan_run
from scaling.schedules.constant import Constant
from scaling.train.device import find_device, hardware_name, torch_threads
from scaling.train.feed.feed import batches
from scaling.train.feed.sets import load_sets
from scaling.train.loop import Trainer
from scaling.train.precision import computed_precision, matmul_precision
from scaling.train.run import train_run

SLICE_SECONDS = 0.05  # of steps timed at a time
SLICES = 4  # of which the fastest counts: the others were slowed by other processes
WARM_STEPS = 5
EXAMPLES = 4_096
PRECISIONS = {"cpu": ("fp32", "bf16"), "cuda": ("fp32", "tf32", "bf16")}


@dataclass(frozen=True, kw_only=True)
class Noise(DataSet):
    """Random examples and labels, for timing."""

    name: ClassVar[str] = "noise"
    classes: int = 10
    features: int

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one example, (features,)."""
        return (self.features,)

    def load(self, D_unique: int | None, *, stream_seed: int = 0) -> Splits:
        """Draw the splits."""
        rng = np.random.default_rng(self.seed)

        def draw(n: int) -> Arrays:
            return Arrays(rng.standard_normal((n, self.features), dtype=np.float32), rng.integers(self.classes, size=n))

        return Splits(draw(D_unique or EXAMPLES), draw(64), draw(64), chance=float(np.log(self.classes)), chance_se=0.0)


@dataclass(frozen=True)
class Shape:
    """A model, a batch size and a number of input features, for timing."""

    model: Any
    batch: int
    features: int


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
    Shape(Bottleneck(width=16, depth=2), 128, 16),
    Shape(Bottleneck(width=64, depth=4), 128, 64),
    Shape(Bottleneck(width=64, depth=1), 1024, 64),
    Shape(Bottleneck(width=192, depth=2), 256, 784),
)
LARGE = (  # for a GPU, which small shapes leave idle
    Shape(MLP(width=4096, depth=4), 4096, 3072),
    Shape(Bottleneck(width=1024, depth=6), 4096, 12_288),
    Shape(Bottleneck(width=256, depth=6), 16_384, 12_288),
)
STREAMS = (Teacher(), Mnist1d(), LinearTeacher())


@kept_streams()
def probe_speed(device: str = "auto", *, threads: int = 1) -> Speed:
    """Time a device with `threads` torch threads and return its speed; UserError for an unknown device."""
    where = find_device(device)
    shapes = (*SHAPES, *LARGE) if where.type == "cuda" else SHAPES
    with torch_threads(threads):
        measured = {
            precision: [_step_seconds(planned_shape(shape, precision), where) for shape in shapes]
            for precision in PRECISIONS[where.type]
        }
        run_seconds = _run_seconds(where)
        draw = {data.name: _draw_seconds(data) for data in STREAMS}
    fits = {precision: fit_costs(shapes, seconds) for precision, seconds in measured.items()}
    return Speed(
        device=hardware_name(where),
        kind=where.type,
        threads=threads,
        torch=version("torch"),
        costs={precision: costs for precision, (costs, _) in fits.items()},
        draw=draw,
        run=run_seconds,
        error=fits["fp32"][1],
        probed_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def fit_costs(shapes: Sequence[Shape], seconds: Sequence[float]) -> tuple[Costs, float]:
    """Fit non-negative costs to measured steps by relative least squares; return them and the median relative error."""
    rows = np.array(
        [astuple(work(planned_shape(shape, "fp32").config, batch=shape.batch)) for shape in shapes], dtype=float
    )
    times = np.array(seconds)
    scale = np.maximum(rows.max(axis=0), 1.0)  # FLOPs and steps differ by ten orders of magnitude
    weights, _ = nnls(rows / scale / times[:, None], np.ones(len(times)))
    costs = Costs(**dict(zip((f.name for f in fields(Costs)), (weights / scale).tolist(), strict=True)))
    return costs, float(median(np.abs(rows @ (weights / scale) / times - 1)))


def planned_shape(shape: Shape, precision: Any, *, steps: int = 1_000_000) -> PlannedRun:
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


def _step_seconds(run: PlannedRun, where: torch.device) -> float:
    """Return the seconds of one step of the real loop, the fastest of some slices."""
    feed = load_sets(run.config, run.quantities, where).feed
    cut = batches(feed, batch=run.quantities.batch, features=run.config.data.shape[0], device=where)
    trainer = Trainer(run, cut, where)
    with matmul_precision(computed_precision(run.config, where)):
        _advance(trainer, WARM_STEPS)
        count = max(1, round(SLICE_SECONDS / (_advance(trainer, 3) / 3)))
        return min(_advance(trainer, count) for _ in range(SLICES)) / count


def _advance(trainer: Trainer, count: int) -> float:
    """Return the seconds of `count` steps; `advance` ends by waiting for the device."""
    started = perf_counter()
    trainer.advance(trainer.step + count, lambda: True)
    return perf_counter() - started


def _run_seconds(where: torch.device) -> float:
    """Return the fixed seconds of a run: files, model, optimiser."""
    run = planned_shape(SHAPES[0], "fp32", steps=1)
    with TemporaryDirectory(prefix="scaling-probe-") as folder:
        took = []
        for attempt in range(3):
            started = perf_counter()
            train_run(run, RunFolder(Path(folder) / str(attempt)), device=str(where))
            took.append(perf_counter() - started)
    return min(took)


def _draw_seconds(data: DataSet) -> float:
    """Return the seconds of making one fresh example."""
    stream: Any = data.load(None, stream_seed=1).train
    started = perf_counter()
    made = len(stream.draw(0)) + len(stream.draw(1))
    return (perf_counter() - started) / made
