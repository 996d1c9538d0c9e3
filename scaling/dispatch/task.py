"""What a worker is told, and what it reports."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from scaling.dispatch.limits import NOTHING, Spent
from scaling.dispatch.order import TRAIN
from scaling.folders import SweepFolder
from scaling.limits import UNLIMITED, Limits


@dataclass(frozen=True)
class Task:
    """What a worker is told: where the runs are, which of them are its own, and how it works.

    gpus: held by this worker; before: what runs outside the queue have spent; deadline: Unix seconds when its time is
    up; patience: seconds to wait for space on a full disk; stuck_minutes: without a step, and beyond several times the
    forecast, after which the worker ends itself; train: module:function that settles one run.
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
