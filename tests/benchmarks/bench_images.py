"""Pre-training at 64 pixels from a uint8 file: the share of the matrix-product rate that is left for the model.

Synthetic images are written on the spot and mapped into memory; each batch is gathered in a thread, normalised and
augmented on the device. The share is the FLOPs of the model's own products, forward and backward, over those of square
products of 1,024 timed in the same minute. Run: python -m tests.benchmarks.bench_images [cpu|cuda]
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # as for the workers of a sweep

import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any, ClassVar

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from scaling.augment.none import Unchanged
from scaling.augment.standard import Standard
from scaling.config import RunConfig, Train, part
from scaling.data import memory
from scaling.data.base import Arrays, DataSet, Splits
from scaling.models.bottleneck import Bottleneck
from scaling.models.mlp import MLP
from scaling.optim.lion import Lion
from scaling.plan.planned import PlannedRun, plan_run
from scaling.schedules.constant import Constant
from scaling.stages.train import FromScratch
from scaling.train.feed import mapped
from scaling.train.feed.feed import batches
from scaling.train.feed.sets import load_sets
from scaling.train.loop import Trainer
from scaling.train.precision import matmul_precision

IMAGES, PIXELS, CLASSES = 16_384, 64, 1_000
MODELS = {"S-6/Wi-1024": MLP(width=1024, depth=6), "B-6/Wi-1024": Bottleneck(width=1024, depth=6)}
AUGMENTATIONS = {"none": Unchanged(), "crop, flip": Standard(mixup=0), "crop, flip, MixUp": Standard()}
BATCH = {"cpu": 1_024, "cuda": 16_384}
PRECISION = {"cpu": "fp32", "cuda": "bf16"}
STEPS, TURNS = {"cpu": 1, "cuda": 10}, 3
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


def planned(file: Path, model: Any, augment: Any, device: str) -> PlannedRun:
    """Plan a run on the file."""
    batch = BATCH[device]
    train = Train(steps=1_000_000, batch=batch, label_smoothing=0.3, precision=PRECISION[device])
    data = Noise(size=IMAGES, file=str(file))
    return plan_run(
        RunConfig(model, data, Lion(lr=1e-5), Constant(), augment, train, seed=0, stage=FromScratch()), overrides={}
    )


def step_seconds(run: PlannedRun, where: torch.device) -> tuple[float, float]:
    """Return the seconds of a step and the rate of square products in FLOP/s, the best of turns of both."""
    sets, batch = load_sets(run.config, run.quantities, where), run.quantities.batch
    trainer = Trainer(run, batches(sets.feed, batch=batch, features=3 * PIXELS**2, device=where), where)
    trainer.advance(1, lambda: True)
    took, rates = [], []
    for _ in range(TURNS):
        rates.append(product_rate(where))
        started = perf_counter()
        trainer.advance(trainer.step + STEPS[where.type], lambda: True)
        took.append((perf_counter() - started) / STEPS[where.type])
    return min(took), max(rates)


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
    """Print the table."""
    where = torch.device(sys.argv[1] if len(sys.argv) > 1 else "cpu")
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    memory.MAPPED_BYTES, mapped.HELD_SHARE = 0, 0.0  # as if it were too large for either
    title = f"batch of {BATCH[where.type]:,}, {PIXELS} pixels, {PRECISION[where.type]}, {where}"
    table = Table("model", "augmentation", "images/s", "GFLOP/s", "of products", title=title, title_justify="left")
    with TemporaryDirectory(prefix="scaling-bench-") as folder, matmul_precision(PRECISION[where.type]):
        file = Path(folder) / "images.npy"
        write_images(file)
        for name, model in MODELS.items():
            for said, augment in AUGMENTATIONS.items():
                run = planned(file, model, augment, where.type)
                seconds, products = step_seconds(run, where)
                rate = run.quantities.counts.C_counted(run.quantities.batch) / seconds
                images = run.quantities.batch / seconds
                table.add_row(name, said, f"{images:,.0f}", f"{rate / 1e9:,.0f}", f"{rate / products:.0%}")
    Console().print(table)


if __name__ == "__main__":
    main()
