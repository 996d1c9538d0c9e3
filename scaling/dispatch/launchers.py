"""The settings of the shipped launchers: conf/launcher/NAME.yaml names one of these and sets its keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from scaling.errors import UserError
from scaling.limits import UNLIMITED, Limits

__all__ = ["LAUNCHERS", "UNLIMITED", "Limits", "Local", "Slurm"]  # Limits: pickles of version 0.1.0 name it here


@dataclass(frozen=True)
class Local:
    """This machine: a queue and a fixed number of workers.

    workers: null for the best number on each GPU by the probe (one without a probe), or on the CPU one for each
    `threads` cores; threads: of torch in each worker;
    retries: further tries of a run that crashed; beat_seconds: between two heartbeats of a worker;
    stuck_minutes: without a step, and beyond 20 times the forecast, after which a run's worker is ended;
    grace_seconds: for the checkpoints after Ctrl-C.
    """

    name: ClassVar[str] = "local"
    implementation: ClassVar[str] = "scaling.dispatch.local.launcher:LocalLauncher"

    workers: int | None = None
    threads: int = 1
    retries: int = 0
    beat_seconds: float = 1.0
    stuck_minutes: float | None = 30.0
    grace_seconds: float = 60.0


@dataclass(frozen=True)
class Slurm:
    """A cluster with SLURM: few jobs, each with a share of the runs.

    Null keys are left to SLURM's own defaults, or derived: `minutes` from the forecast (at least `min_minutes`),
    `memory_gb` from the model (at least `min_memory_gb`), `jobs` from the work, `hand_minutes` a job, at most
    `max_jobs` at a time. gpus, cpus: of each job; constraint, exclude, nodelist, extra: as for sbatch;
    setup: shell lines before Python starts; retries: further tries of a run that crashed; signal_seconds: between
    the warning and the time limit, for a checkpoint; snapshot: jobs run the code as it was when they were submitted;
    patience: seconds that a job waits for space on a full disk; stuck_minutes: without a step, and beyond 20 times
    the forecast, after which a run's job is ended.
    """

    name: ClassVar[str] = "slurm"
    implementation: ClassVar[str] = "scaling.dispatch.slurm.launcher:SlurmLauncher"

    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    exclude: str | None = None
    nodelist: str | None = None
    gpus: int = 1
    cpus: int = 2
    threads: int = 1
    memory_gb: float | None = None
    min_memory_gb: float = 4.0
    minutes: float | None = None
    min_minutes: float = 15.0
    max_minutes: float | None = None
    hand_minutes: float = 60.0
    jobs: int | None = None
    max_jobs: int = 16
    extra: Mapping[str, Any] = field(default_factory=dict)
    setup: tuple[str, ...] = ()
    retries: int = 1
    beat_seconds: float = 10.0
    signal_seconds: int = 120
    patience: float = 300.0
    stuck_minutes: float | None = 30.0
    snapshot: bool = True

    def __post_init__(self) -> None:
        """Raise UserError for values of several lines: sbatch would run the second line as a shell command."""
        words = (self.partition, self.account, self.qos, self.constraint, self.exclude, self.nodelist)
        for word in map(str, (*filter(None, words), *self.extra, *self.extra.values())):
            if not word.isprintable():
                raise UserError(
                    f"found {word!r} in the launcher; wanted one line; what jobs run goes into launcher.setup"
                )

    @property
    def speed_name(self) -> str:
        """The name under which the speed of its nodes is stored."""
        return "-".join(part for part in (self.partition or "default", self.constraint) if part)


LAUNCHERS = {kind.name: kind for kind in (Local, Slurm)}  # as dispatches of version 0.1.0 name them
