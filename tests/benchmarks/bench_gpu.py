"""A step of training on a GPU: launched kernel by kernel, and replayed from a graph; the same numbers.

Run: python -m tests.benchmarks.bench_gpu
"""

from __future__ import annotations

from dataclasses import replace
from math import prod
from statistics import median
from time import perf_counter

import torch
from rich.console import Console
from rich.table import Table

from scaling.forecast.probe import Shape, planned_shape
from scaling.models.bottleneck import Bottleneck
from scaling.models.mlp import MLP
from scaling.plan.planned import PlannedRun, plan_run
from scaling.train.feed.feed import batches
from scaling.train.feed.sets import load_sets
from scaling.train.loop import Trainer
from scaling.train.precision import computed_precision, matmul_precision

TURNS, STEPS, WARM_STEPS = 5, 512, 64
CASES = {
    "mlp 64 x 2, 16 inputs": Shape(MLP(width=64, depth=2), 128, 16),
    "mlp 64 x 6, 64 inputs": Shape(MLP(width=64, depth=6), 128, 64),
    "bottleneck 64 x 2, 64 inputs": Shape(Bottleneck(width=64, depth=2), 128, 64),
    "mlp 256 x 2, 784 inputs": Shape(MLP(width=256, depth=2), 128, 784),
    "mlp 1024 x 6, 784 inputs": Shape(MLP(width=1024, depth=6), 128, 784),
    "bottleneck 256 x 6, 784 inputs": Shape(Bottleneck(width=256, depth=6), 128, 784),
}
PRECISIONS = ("auto", "bf16")


def launched(run: PlannedRun, graph: str) -> PlannedRun:
    """Return the same run, launched so."""
    config = replace(run.config, train=replace(run.config.train, graph=graph))
    return plan_run(config, overrides={})


def step_seconds(run: PlannedRun, where: torch.device) -> float:
    """Return the median of some turns."""
    sets = load_sets(run.config, run.quantities, where)
    cut = batches(sets.feed, batch=run.quantities.batch, features=prod(run.config.data.shape), device=where)
    trainer = Trainer(run, cut, where)
    trainer.advance(WARM_STEPS, lambda: True)
    took = []
    for _ in range(TURNS):
        started = perf_counter()
        trainer.advance(trainer.step + STEPS, lambda: True)
        took.append((perf_counter() - started) / STEPS)
    return median(took)


def main() -> None:
    """Print the table."""
    if not torch.cuda.is_available():
        print("left out: it wants a GPU, and torch finds none")
        return
    where = torch.device("cuda", 0)
    table = Table("batch of 128", "precision", "kernels, us a step", "graph, us a step", "ratio")
    for name, shape in CASES.items():
        for precision in PRECISIONS:
            run = planned_shape(shape, precision)
            with matmul_precision(computed_precision(run.config, where)):
                eager, graph = (step_seconds(launched(run, way), where) for way in ("off", "auto"))
            table.add_row(name, precision, f"{eager * 1e6:.0f}", f"{graph * 1e6:.0f}", f"{eager / graph:.1f}")
    Console(width=110).print(torch.cuda.get_device_name(where), table)


if __name__ == "__main__":
    main()
