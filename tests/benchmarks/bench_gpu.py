"""A step of training on a GPU, of one run and of a stack: launched kernel by kernel, and replayed from a graph.

Run: python -m tests.benchmarks.bench_gpu; with `kernels`, the kernels of a step of a stack and their times
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

import torch
from rich.console import Console

from scaling.forecast.timing.shapes import Shape, planned_shape
from scaling.forecast.together import member_states
from scaling.forecast.together import step_seconds as stack_seconds
from scaling.models.bottleneck import Bottleneck
from scaling.models.mlp import MLP
from scaling.plan.planned import PlannedRun, plan_run
from scaling.train.feed.run_data import load_run_data
from scaling.train.loop import Trainer
from scaling.train.precision import computed_precision, matmul_precision
from scaling.train.stacked.stack import Stack

TURNS, STEPS, WARM_STEPS = 3, 128, 64
CASES = {
    "mlp 64 x 2, 16 inputs": Shape(MLP(width=64, depth=2), 128, 16),
    "mlp 64 x 6, 64 inputs": Shape(MLP(width=64, depth=6), 128, 64),
    "bottleneck 64 x 2, 64 inputs": Shape(Bottleneck(width=64, depth=2), 128, 64),
    "mlp 256 x 2, 784 inputs": Shape(MLP(width=256, depth=2), 128, 784),
    "mlp 1024 x 6, 784 inputs": Shape(MLP(width=1024, depth=6), 128, 784),
    "bottleneck 256 x 6, 784 inputs": Shape(Bottleneck(width=256, depth=6), 128, 784),
}
PRECISIONS = ("auto", "bf16")
STACKED = {
    "mlp 64 x 2, 256 inputs, batch 128": Shape(MLP(width=64, depth=2), 128, 256),
    "mlp 32 x 2, 16 inputs, batch 32": Shape(MLP(width=32, depth=2), 32, 16),
}
MEMBERS = (1, 8, 64, 256, 512)
PROFILED = 256  # members


def launched(run: PlannedRun, graph: str) -> PlannedRun:
    """Return the same run, launched so."""
    config = replace(run.config, train=replace(run.config.train, graph=graph))
    return plan_run(config, overrides={})


def step_seconds(run: PlannedRun, where: torch.device) -> float:
    """Return the median of some turns."""
    sets = load_run_data(run.config, run.quantities, where)
    trainer = Trainer(run, sets.batches(run.quantities.batch), where)
    trainer.advance(WARM_STEPS, lambda: True)
    return timed(lambda: trainer.advance(trainer.step + STEPS, lambda: True)) / STEPS


def timed(work: Callable[[], object]) -> float:
    """Return the median of some turns, in seconds."""
    took = []
    for _ in range(TURNS):
        started = perf_counter()
        work()
        took.append(perf_counter() - started)
    return median(took)


def stacks(where: torch.device, console: Console) -> None:
    """Print what a step of stacks takes, a line when it is measured."""
    for name, shape in STACKED.items():
        for members in MEMBERS:
            step = stack_seconds(planned_shape(shape, "auto"), members, where)
            console.print(
                f"{name:30} {members:4} members, {step * 1e6:6.0f} us a step, {step * 1e6 / members:7.2f} each"
            )


def kernels(where: torch.device) -> None:
    """Print the kernels of a step of each stack."""
    for name, shape in STACKED.items():
        with TemporaryDirectory(prefix="scaling-bench-") as folder:
            stack = Stack(member_states(planned_shape(shape, "auto"), PROFILED, where, Path(folder)), where)
        stack.advance(8, lambda: True)
        with torch.profiler.profile(activities=list(torch.profiler.supported_activities())) as found:
            stack.advance(8, lambda: True)
            torch.cuda.synchronize()
        print(name, f"{PROFILED} members, 8 steps")
        print(found.key_averages().table(sort_by="cuda_time_total", row_limit=60, max_name_column_width=80))


def main() -> None:
    """Print what steps take, a line when it is measured."""
    if not torch.cuda.is_available():
        print("left out: it wants a GPU, and torch finds none")
        return
    where = torch.device("cuda", 0)
    if "kernels" in sys.argv[1:]:
        kernels(where)
        return
    console = Console(width=110)
    console.print(torch.cuda.get_device_name(where))
    with matmul_precision("tf32"):
        stacks(where, console)
    for name, shape in CASES.items():
        for precision in PRECISIONS:
            run = planned_shape(shape, precision)
            with matmul_precision(computed_precision(run.config, where)):
                eager, graph = (step_seconds(launched(run, way), where) for way in ("off", "auto"))
            took = f"kernels {eager * 1e6:5.0f}, graph {graph * 1e6:5.0f} us a step: {eager / graph:4.1f}x"
            console.print(f"{name:30} batch of 128, {precision:5} {took}")


if __name__ == "__main__":
    main()
