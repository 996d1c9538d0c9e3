"""Pre-training at 64 pixels from a uint8 file: the share of the matrix-product rate that is left for the model.

Synthetic images are written on the spot and mapped into memory: each batch is gathered in threads, normalised and
augmented on the device. On a GPU the images are held in its memory as well, and steps are compiled besides. The share
is the FLOPs of the model's own products, forward and backward, over those of large square products timed in the same
minute. Run: python -m tests.benchmarks.bench_images [cpu|cuda] [SECONDS, after which it begins no further row]
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # as for the workers of a sweep

import sys
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any, ClassVar

import numpy as np
import torch
from rich.console import Console

from scaling.augment.none import Unchanged
from scaling.augment.standard import Standard
from scaling.config import RunConfig, Train, part
from scaling.data import memory
from scaling.data.base import Arrays, DataSet, Splits
from scaling.errors import UserError
from scaling.models.bottleneck import Bottleneck
from scaling.models.mlp import MLP
from scaling.optim.lion import Lion
from scaling.plan.planned import PlannedRun, plan_run
from scaling.schedules.constant import Constant
from scaling.stages.train import FromScratch
from scaling.train.device import hardware_name
from scaling.train.feed import mapped
from scaling.train.feed.run_data import load_run_data
from scaling.train.loop import Trainer
from scaling.train.precision import matmul_precision

IMAGES, PIXELS, CLASSES = 16_384, 64, 1_000
MODELS = {"B-6/Wi-1024": Bottleneck(width=1024, depth=6), "S-6/Wi-1024": MLP(width=1024, depth=6)}
AUGMENTATIONS = {"crop, flip, MixUp": Standard(), "crop, flip": Standard(mixup=0), "none": Unchanged()}
BATCH = {"cpu": 1_024, "cuda": 16_384}
PRECISION = {"cpu": "fp32", "cuda": "bf16"}
WAYS = {"cpu": [("mapped", "eager")], "cuda": [("held", "compile"), ("mapped", "compile"), ("held", "eager")]}
STEPS, TURNS = {"cpu": 1, "cuda": 50}, 3
SQUARE = {"cpu": 1_024, "cuda": 8_192}


@dataclass(frozen=True, kw_only=True)
class Noise(DataSet):
    """Random images in a file."""

    name: ClassVar[str] = "noise_images"
    classes: int = CLASSES
    file: str = part(identity=False)

    @property
    def shape(self) -> tuple[int, ...]:
        return (3, PIXELS, PIXELS)

    def load(self, D_unique: int | None, *, stream_seed: int = 0) -> Splits:
        x = np.load(self.file, mmap_mode="r")
        y = np.random.default_rng(0).integers(CLASSES, size=len(x))
        held_out = Arrays(np.array(x[:64]), y[:64])
        return Splits(Arrays(x, y), held_out, held_out, chance=7.0, chance_se=0.0, mean=(127.5,) * 3, std=(73.9,) * 3)


def write_images(path: Path) -> None:
    """Write the file."""
    images = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(IMAGES, 3, PIXELS, PIXELS))
    for start in range(0, IMAGES, 4_096):
        shape = images[start : start + 4_096].shape
        images[start : start + 4_096] = np.random.default_rng(start).integers(256, size=shape, dtype=np.uint8)
    images.flush()


def planned(file: Path, model: Any, augment: Any, device: str, engine: Any) -> PlannedRun:
    """Plan a run on the file."""
    batch = BATCH[device]
    train = Train(steps=1_000_000, batch=batch, label_smoothing=0.3, precision=PRECISION[device], engine=engine)
    data = Noise(size=IMAGES, file=str(file))
    return plan_run(
        RunConfig(model, data, Lion(lr=1e-5), Constant(), augment, train, seed=0, stage=FromScratch()), overrides={}
    )


def step_seconds(run: PlannedRun, where: torch.device) -> tuple[float, float, float]:
    """Return the seconds to begin with, of a step, and square products' rate in FLOP/s, the best of turns of both."""
    sets, batch = load_run_data(run.config, run.quantities, where), run.quantities.batch
    trainer = Trainer(run, sets.batches(batch), where)
    started = perf_counter()
    trainer.advance(2, lambda: True)
    first = perf_counter() - started
    took, rates = [], []
    for _ in range(TURNS):
        rates.append(product_rate(where))
        started = perf_counter()
        trainer.advance(trainer.step + STEPS[where.type], lambda: True)
        took.append((perf_counter() - started) / STEPS[where.type])
    return first, min(took), max(rates)


def product_rate(where: torch.device) -> float:
    """Time square matrix products, in the precision of the run."""
    n, dtype = SQUARE[where.type], torch.bfloat16 if PRECISION[where.type] == "bf16" else torch.float32
    a, b, best = torch.randn(n, n, device=where, dtype=dtype), torch.randn(n, n, device=where, dtype=dtype), 0.0
    for _ in range(8):
        started = perf_counter()
        (a @ b).sum().item()
        best = max(best, 2 * n**3 / (perf_counter() - started))
    return best


def main() -> None:
    """Print the table, a row when it is measured."""
    where = torch.device(sys.argv[1] if len(sys.argv) > 1 else "cpu")
    until = perf_counter() + float(sys.argv[2] if len(sys.argv) > 2 else "inf")
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    console, failed = Console(width=110), False
    console.print(f"batch of {BATCH[where.type]:,}, {PIXELS} pixels, {PRECISION[where.type]}, {hardware_name(where)}")
    with TemporaryDirectory(prefix="scaling-bench-") as folder, matmul_precision(PRECISION[where.type]):
        file = Path(folder) / "images.npy"
        write_images(file)
        for (said, augment), (name, model) in product(AUGMENTATIONS.items(), MODELS.items()):
            for place, engine in WAYS[where.type]:
                if perf_counter() > until:
                    console.print(f"{name:12} {said:18} {place:6} {engine:8} left out: the time is up")
                    continue
                memory.MAPPED_BYTES, mapped.HELD_SHARE = 0, 0.0 if place == "mapped" else 0.5  # as if it were too large
                run = planned(file, model, augment, where.type, engine)
                try:
                    first, seconds, products = step_seconds(run, where)
                except (UserError, RuntimeError) as error:  # the other rows are measured all the same
                    console.print(f"{name:12} {said:18} {place:6} {engine:8} failed: {error}")
                    failed = True
                    continue
                rate = run.quantities.counts.C_counted(run.quantities.batch) / seconds
                images = run.quantities.batch / seconds
                words = f"{name:12} {said:18} {place:6} {engine:8} {first:5.1f} s first,"
                console.print(f"{words} {images:11,.0f} images/s {rate / 1e9:9,.0f} GFLOP/s {rate / products:5.0%}")
    sys.exit(failed)


if __name__ == "__main__":
    main()
