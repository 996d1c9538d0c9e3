"""A run in a process of its own that dies at a chosen moment, outright, by its own hand: the same moment every time.

Run: python -m tests.train.killed MODULE CASE RESULTS PLACE COUNT, where MODULE.CASES[CASE] is the run
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from scaling.train.loop import Trainer
from scaling.train.output.journal import Journal
from scaling.train.run import train_run
from tests.train.runs import folder_of

ROOT = Path(__file__).parents[2]


def renames(name: str) -> Callable[..., bool]:
    """Tell whether a file that is whole is about to be renamed to this name."""
    return lambda source, target: Path(target).name == name


PLACES: dict[str, tuple[type, str, Callable[..., bool]]] = {
    "step": (Trainer, "_gradients", lambda *_: True),  # between its batch and its gradients
    "point": (Journal, "add", lambda *_: True),  # taken, and not yet written down
    "checkpoint": (Path, "replace", renames("checkpoint")),  # written aside, and not yet in its place
    "record": (Path, "replace", renames("record.json")),
}


def kill_at(place: str, count: int, *, module: str, case: str, results: Path) -> None:
    """Do a run in a process of its own, which is killed when it comes to a place for the `count`-th time."""
    command = [sys.executable, "-m", __name__, module, case, str(results), place, str(count)]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == -signal.SIGKILL


def die_at(place: str, count: int) -> None:
    """Let this process be killed when it comes to a place for the `count`-th time."""
    owner, name, there = PLACES[place]
    real: Any = getattr(owner, name)
    left = count

    def struck(*arguments: Any) -> Any:
        nonlocal left
        left -= there(*arguments)
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments)

    setattr(owner, name, struck)


def main(module: str, case: str, results: str, place: str, count: str) -> None:
    torch.set_num_threads(1)
    run = import_module(module).CASES[case]
    die_at(place, int(count))
    train_run(run, folder_of(run, Path(results)), device="cpu")


if __name__ == "__main__":
    main(*sys.argv[1:])
