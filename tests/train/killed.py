"""A run in a process of its own that dies at a chosen moment, outright, by its own hand: the same moment every time."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from scaling.dispatch.local.jobs import process_of
from scaling.train.output.journal import Journal
from scaling.train.run import train_run
from scaling.train.stacked.run import Member, train_stack
from scaling.train.stacked.steps.step import StackedStep
from scaling.train.step.prepared import Step
from tests.forked import forked
from tests.train.runs import folder_of

PLACES: dict[str, tuple[type, str]] = {
    "stacked step": (StackedStep, "_take_gradients"),
    "step": (Step, "_gradients"),  # between its batch and its gradients
    "point": (Journal, "add"),  # taken, and not yet written down
}
RENAMED = {"checkpoint": "checkpoint", "record": "record.json"}  # written aside, and not yet in its place


def kill_at(place: str, count: int, *, module: str, case: str, results: Path) -> None:
    """Do the run module.CASES[case] in a process that is killed when it comes to a place for the `count`-th time."""
    job = forked(results / "jobs", train_until, place, count, module, case, results)
    said = job.paths.stderr.read_text()
    assert process_of(job).poll() == -signal.SIGKILL, f"it did not come to {place} {count}, but ended:\n{said}"


def train_until(place: str, count: int, module: str, case: str, results: Path) -> None:
    run = import_module(module).CASES[case]
    die_at(place, count)
    train_run(run, folder_of(run, results), device="cpu")


def kill_stack_at(place: str, count: int, *, module: str, cases: Sequence[str], results: Path) -> None:
    """Do the runs module.CASES of these names in one stack, in a process that is killed so."""
    job = forked(results / "jobs", stack_until, place, count, module, cases, results)
    said = job.paths.stderr.read_text()
    assert process_of(job).poll() == -signal.SIGKILL, f"it did not come to {place} {count}, but ended:\n{said}"


def stack_until(place: str, count: int, module: str, cases: Sequence[str], results: Path) -> None:
    runs = [import_module(module).CASES[case] for case in cases]
    die_at(place, count)
    train_stack([Member(run, folder_of(run, results), ended=print) for run in runs], device="cpu")


def die_at(place: str, count: int) -> None:
    """Let this process be killed when it comes to a place for the `count`-th time."""
    left = count

    def strike() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def heard(event: str, arguments: Sequence[Any]) -> None:
        if event == "os.rename" and Path(arguments[1]).name == RENAMED[place]:
            strike()

    if place in RENAMED:
        sys.addaudithook(heard)
        return
    owner, name = PLACES[place]
    real: Any = getattr(owner, name)

    def struck(*arguments: Any) -> Any:
        strike()
        return real(*arguments)

    setattr(owner, name, struck)
