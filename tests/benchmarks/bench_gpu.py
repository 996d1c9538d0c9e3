"""A step of training on a GPU, of one run and of a stack: launched kernel by kernel, and replayed from a graph.

Run: python -m tests.benchmarks.bench_gpu; with `kernels`, the kernels of a step of a stack and their times
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from math import prod
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

import torch
from rich.console import Console

from scaling.folders import RunFolder
from scaling.forecast.timing.shapes import Shape, planned_shape
from scaling.models.bottleneck import Bottleneck
from scaling.models.mlp import MLP
from scaling.plan.planned import PlannedRun, plan_run
from scaling.train.attempt import Attempt
from scaling.train.feed.feed import batches, epoch_feed
from scaling.train.feed.run_data import load_run_data
from scaling.train.loop import CHECK_STEPS, Trainer
from scaling.train.output.journal import Journal
from scaling.train.precision import computed_precision, matmul_precision
from scaling.train.stacked.member_state import Hooks, MemberState, member_state_of
from scaling.train.stacked.stack import Stack

TURNS, STEPS, WARM_STEPS = 3, 256, 64
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


def launched(run: PlannedRun, graph: str) -> PlannedRun:
    """Return the same run, launched so."""
    config = replace(run.config, train=replace(run.config.train, graph=graph))
    return plan_run(config, overrides={})


def step_seconds(run: PlannedRun, where: torch.device) -> float:
    """Return the median of some turns."""
    sets = load_run_data(run.config, run.quantities, where)
    cut = batches(sets.feed, batch=run.quantities.batch, features=prod(run.config.data.shape), device=where)
    trainer = Trainer(run, cut, where)
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


def members_of(shape: Shape, members: int, where: torch.device, folder: Path) -> list[MemberState]:
    """Return runs of a shape, of different seeds and rates, each with an order of its own on a set that they share."""
    first, member_states = planned_shape(shape, "auto"), list[MemberState]()
    held = load_run_data(first.config, first.quantities, where)
    for seed in range(members):
        optim = replace(first.config.optim, lr=1e-4 * (1 + seed))
        run = plan_run(replace(first.config, seed=seed, optim=optim), overrides={})
        at, sets = RunFolder(folder / str(seed)), replace(held, feed=epoch_feed(held.feed.subset, seed=seed))
        cut = batches(sets.feed, batch=shape.batch, features=shape.features, device=where)
        attempt = Attempt(run, at, where, sets, Journal(at))
        member_states.append(member_state_of(attempt, None, Trainer(run, cut, where), Hooks(print), again=False))
    return member_states


def stack_seconds(member_states: Sequence[MemberState], where: torch.device) -> tuple[float, float]:
    """Return the seconds of the first steps, with the capture, and of one after them; looked at as in a sweep."""
    stack = Stack(member_states, where)

    def advance() -> None:
        for _ in range(STEPS // CHECK_STEPS):
            stack.advance(CHECK_STEPS, lambda: True)
            stack.prepare(CHECK_STEPS)
            stack.read_totals()

    started = perf_counter()
    advance()
    first = perf_counter() - started
    return first, timed(advance) / STEPS


def stacks(where: torch.device, console: Console) -> None:
    """Print what a step of stacks takes, a line when it is measured."""
    for name, shape in STACKED.items():
        with TemporaryDirectory(prefix="scaling-bench-") as folder:
            member_states = members_of(shape, max(MEMBERS), where, Path(folder))
        for members in MEMBERS:
            first, step = stack_seconds(member_states[:members], where)
            words = f"{name:30} {members:4} members, {first:5.2f} s to begin with"
            console.print(f"{words}, {step * 1e6:6.0f} us a step, {step * 1e6 / members:7.2f} a member-step")


def kernels(where: torch.device) -> None:
    """Print the kernels of a step of each stack, launched one by one."""
    for name, shape in STACKED.items():
        with TemporaryDirectory(prefix="scaling-bench-") as folder:
            member_states = members_of(shape, 16, where, Path(folder))
        for member_state in member_states:
            member_state.attempt = replace(member_state.attempt, run=launched(member_state.attempt.run, "off"))
        stack = Stack(member_states, where)
        stack.advance(8, lambda: True)
        with torch.profiler.profile(activities=list(torch.profiler.supported_activities())) as found:
            stack.advance(8, lambda: True)
            torch.cuda.synchronize()
        print(name, "16 members, 8 steps")
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
