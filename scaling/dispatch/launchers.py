"""The settings of the shipped launchers: conf/launcher/NAME.yaml names one of these and sets its keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

from annotated_types import Ge, Gt

from scaling.errors import UserError
from scaling.limits import UNLIMITED, Limits

__all__ = ["LAUNCHERS", "UNLIMITED", "Limits", "Local", "Slurm"]  # Limits: pickles of version 0.1.0 name it here

# Those of pydantic, whose import would take `scaling status` longer than all else.
PositiveInt = Annotated[int, Gt(0)]
NonNegativeInt = Annotated[int, Ge(0)]
PositiveFloat = Annotated[float, Gt(0)]
NonNegativeFloat = Annotated[float, Ge(0)]


@dataclass(frozen=True)
class Local:
    """This machine: a queue and a fixed number of workers."""

    name: ClassVar[str] = "local"
    implementation: ClassVar[str] = "scaling.dispatch.local.launcher:LocalLauncher"

    workers: PositiveInt | None = None
    """null: on a GPU the best number by the probe (one without a probe), on a CPU one for each `threads` cores."""
    threads: PositiveInt = 1
    """torch's threads in each worker."""
    retries: NonNegativeInt = 0
    """Further attempts at a run that crashed."""
    beat_seconds: PositiveFloat = 1.0
    """Seconds between two heartbeats of a worker."""
    stuck_minutes: PositiveFloat | None = 30.0
    """Minutes without a step (if beyond 20 times the forecast) after which a run's worker is ended."""
    grace_seconds: NonNegativeFloat = 60.0
    """Seconds for the checkpoints after Ctrl-C."""


@dataclass(frozen=True)
class Slurm:
    """A cluster with SLURM: few jobs, each with a share of the runs.

    partition, account, qos, constraint, exclude, nodelist: as for sbatch; null: SLURM's own default.
    """

    name: ClassVar[str] = "slurm"
    implementation: ClassVar[str] = "scaling.dispatch.slurm.launcher:SlurmLauncher"

    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    exclude: str | None = None
    nodelist: str | None = None
    gpus: NonNegativeInt = 1
    """GPUs of each job."""
    cpus: PositiveInt = 2
    """CPU cores of each job."""
    threads: PositiveInt = 1
    """torch's threads in each worker."""
    memory_gb: PositiveFloat | None = None
    """Memory of each job; null: derived from the model."""
    min_memory_gb: PositiveFloat = 4.0
    """Least memory of a job if it is derived."""
    minutes: PositiveFloat | None = None
    """Time limit of a job; null: derived from the forecast."""
    min_minutes: PositiveFloat = 15.0
    """Least time limit of a job if it is derived."""
    max_minutes: PositiveFloat | None = None
    """Largest time limit of a job if it is derived; null: the partition's."""
    hand_minutes: PositiveFloat = 60.0
    """Minutes of work for each job, from which the number of jobs is derived."""
    jobs: PositiveInt | None = None
    """Number of jobs; null: derived from the work."""
    max_jobs: PositiveInt = 16
    """Most jobs at a time."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Further options of sbatch."""
    setup: tuple[str, ...] = ()
    """Shell lines to run before Python starts."""
    retries: NonNegativeInt = 1
    """Further attempts at a run that crashed."""
    beat_seconds: PositiveFloat = 10.0
    """Seconds between two heartbeats of a worker."""
    signal_seconds: PositiveInt = 120
    """Seconds between the warning and the time limit, for a checkpoint."""
    patience: NonNegativeFloat = 300.0
    """Seconds that a job waits for space on a full disk."""
    stuck_minutes: PositiveFloat | None = 30.0
    """Minutes without a step (if beyond 20 times the forecast) after which a run's worker is ended."""
    snapshot: bool = True
    """Run the code as it was when the jobs were submitted."""

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
