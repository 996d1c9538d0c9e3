"""Time what a run takes besides its steps: its start and end, its milestones and the points of its learning curve."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import torch

from scaling.folders import RunFolder
from scaling.forecast.timing.clock import clock_of, typical
from scaling.forecast.timing.shapes import USUAL, planned_shape
from scaling.plan.planned import PlannedRun, plan_run
from scaling.train.attempt import Attempt
from scaling.train.feed.run_data import load_run_data
from scaling.train.loop import Trainer
from scaling.train.output.curve import take_curve
from scaling.train.output.curve_steps import curve_steps
from scaling.train.output.journal import Journal
from scaling.train.output.milestone import take_point
from scaling.train.precision import computed_precision, matmul_precision
from scaling.train.run import train_run
from scaling.train.sizes import CHECK_STEPS
from scaling.train.stacked.run import Ending, Member, train_stack

STEPS = {"cpu": 1, "cuda": 2 * CHECK_STEPS + 1}  # on a GPU the first steps may be slower, while memory is reserved
RUNS, POINTS = 3, 9  # repetitions
MEMBERS = 8


def run_seconds(where: torch.device, *, step: float, curve: float) -> float:
    """Return the seconds of a run besides its steps and its learning curve: files, model, graph, its one milestone.

    step, curve: the seconds of a step of `few_examples`, and of a point of the learning curve.
    """
    run = few_examples("eager", steps=STEPS[where.type])
    took = _typical_seconds(lambda folder: train_run(run, RunFolder(folder), device=str(where)), where, times=RUNS)
    return max(0.0, took - run.quantities.steps * step - len(curve_steps(run)) * curve)


def member_seconds(where: torch.device, *, step: float) -> float:
    """Return the seconds of a member of a stack besides its step, which counts as one of a single run."""
    runs = [few_examples("stacked", steps=1, seed=seed) for seed in range(MEMBERS)]

    def train(folder: Path) -> None:
        train_stack([Member(run, RunFolder(folder / run.run_id), _check) for run in runs], device=str(where))

    return max(0.0, _typical_seconds(train, where, times=RUNS) / MEMBERS - step)


def point_seconds(where: torch.device) -> tuple[float, float]:
    """Return the seconds of a milestone, and of a point of the learning curve."""
    run = few_examples("eager", steps=1)
    with TemporaryDirectory(prefix="scaling-probe-") as path, matmul_precision(computed_precision(run.config, where)):
        folder, sets = RunFolder(Path(path)), load_run_data(run.config, run.quantities, where)
        learner = Trainer(run, sets.batches(run.quantities.batch), where).learner
        attempt = Attempt(run, folder, where, sets, Journal(folder))
        milestone = _typical_seconds(lambda _: take_point(attempt, learner, step=1, lr=0.0), where, times=POINTS)
        return milestone, _typical_seconds(lambda _: take_curve(attempt, learner.module, step=1), where, times=POINTS)


def few_examples(engine: Literal["eager", "stacked"], *, steps: int, seed: int = 0) -> PlannedRun:
    """Plan a run of the shape `USUAL` whose evaluations read so few examples that they cost little but their launch."""
    config = planned_shape(USUAL, "auto", steps=steps).config
    data, train = replace(config.data, size=USUAL.batch), replace(config.train, engine=engine)
    return plan_run(replace(config, seed=seed, data=data, train=train), overrides={})


def _typical_seconds(work: Callable[[Path], object], where: torch.device, *, times: int) -> float:
    """Return the seconds of some work in a new folder, after a first time that is not counted."""
    clock, took = clock_of(where), list[float]()
    for _ in range(1 + times):
        with TemporaryDirectory(prefix="scaling-probe-") as folder:
            started = clock()
            work(Path(folder))
            took.append(clock() - started)
    return typical(took[1:], where)


def _check(end: Ending) -> None:
    if isinstance(end.result, Exception):
        raise end.result
