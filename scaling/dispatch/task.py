"""What a worker is told, and what it reports."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from importlib import import_module
from pathlib import Path
from typing import Any

from scaling.dispatch.limits import NOTHING, Spent
from scaling.dispatch.order import TRAIN
from scaling.folders import SweepFolder
from scaling.limits import UNLIMITED, Limits

Train = Callable[..., Any]
WORN = "worn"  # a worker whose process the code of a run has changed for good: another takes its place


class Step(Enum):
    """What became of one look at one run."""

    SETTLED = "settled"  # it has a record, ours or another's
    FAILED = "failed"  # its tries are used up
    AGAIN = "again"  # to be tried again
    BUSY = "busy"  # another worker is training it
    UNSURE = "unsure"  # its claim may be dead
    LATER = "later"  # not in the time that is left
    HELD = "held"  # beyond a limit, or cancelled
    EARLY = "early"  # a run that it needs is still training
    BLOCKED = "blocked"  # a run that it needs is not settled, and nobody is at it


@dataclass(frozen=True)
class Task:
    """What a worker is told: where the runs are, which of them are its own, and how it works.

    gpus: held by this worker; before: what runs outside the queue have spent; deadline: Unix seconds when its time is
    up; patience: seconds to wait for space on a full disk; stuck_minutes: without a step, and beyond several times the
    forecast, after which the worker ends itself; train: module:function that settles one run; train_stack: that
    settles several together; workers: that share the queue (0: as many as the dispatch has); place: where in it this
    one starts; since: how long the files of the index were when the queue was made.
    """

    folder: SweepFolder
    queue: Path
    group: str = ""
    name: str = ""
    job: str = ""
    gpus: int = 0
    retries: int = 0
    beat_seconds: float = 1.0
    patience: float = 0.0
    stuck_minutes: float | None = None
    limits: Limits = UNLIMITED
    before: Spent = NOTHING
    deadline: float | None = None
    train: str = TRAIN
    train_stack: str = "scaling.train.stacked.run:train_stack"
    workers: int = 0
    place: int = 0
    since: Mapping[str, int] | None = None


@dataclass
class Report:
    """What a worker did, and why it left.

    held: runs beyond a limit; later: runs that its time would not have lasted for; out_of_reach: runs whose files
    cannot be read or written, with the reason.
    """

    settled: int = 0
    failed: int = 0
    reason: str = "done"
    sentence: str = ""
    held: list[str] = field(default_factory=list)
    later: int = 0
    out_of_reach: dict[str, str] = field(default_factory=dict)


def load(name: str) -> Train:
    """Import module:function; without looking for garbage, which is a fifth of the time that torch's import takes."""
    module, _, function = name.partition(":")
    gc.disable()
    try:
        found: Train = getattr(import_module(module), function)
    finally:
        gc.enable()
    return found
