"""The task of a worker, and its report."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from importlib import import_module
from pathlib import Path
from typing import Any

from scaling.dispatch.order import TRAIN
from scaling.dispatch.spent import NOTHING, Spent
from scaling.folders import SweepFolder
from scaling.limits import UNLIMITED, Limits

Train = Callable[..., Any]
PROCESS_CHANGED = "process_changed"  # reason to replace a worker: the code of a run changed its process permanently


class Result(Enum):
    """The result of one look at one run."""

    SETTLED = "settled"  # it has a record, by this worker or another
    FAILED = "failed"  # for good
    AGAIN = "again"  # to be tried again
    BUSY = "busy"  # another worker is training it
    UNSURE = "unsure"  # its claim may be dead
    LATER = "later"  # does not fit the time left
    HELD = "held"  # beyond a limit, or cancelled
    EARLY = "early"  # a parent is still training
    BLOCKED = "blocked"  # a parent is not settled, and no worker is training it


@dataclass(frozen=True)
class Task:
    """The task of a worker: its queue, and how it works.

    gpus: held by this worker; before: spent by runs outside the queue; deadline: end of its time in Unix seconds;
    patience: seconds to wait for space on a full disk; stuck_minutes: without a step, and beyond several times the
    forecast, after which the worker ends itself; train: module:function that settles one run; train_stack: one that
    settles several together; workers: number that share the queue (0: the dispatch's); place: this worker's number
    among them; since: sizes of the index files when the queue was made.
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
    """The result of a worker.

    settled, failed: numbers of runs; reason, sentence: why it ended; held: runs beyond a limit; later: number of runs
    that did not fit its time; out_of_reach: runs whose files cannot be read or written, with the reason.
    """

    settled: int = 0
    failed: int = 0
    reason: str = "done"
    sentence: str = ""
    held: list[str] = field(default_factory=list)
    later: int = 0
    out_of_reach: dict[str, str] = field(default_factory=dict)


def load(name: str) -> Train:
    """Import module:function, with garbage collection off, which would take a fifth of torch's import time."""
    module, _, function = name.partition(":")
    gc.disable()
    try:
        found: Train = getattr(import_module(module), function)
    finally:
        gc.enable()
    return found
