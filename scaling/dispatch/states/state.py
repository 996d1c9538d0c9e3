"""The states of a sweep's runs at one moment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any

BLOCKED = "blocked"  # the cause of a run that cannot start because its parent failed, or diverged too early


class State(StrEnum):
    """The state of a run; missing: no worker trains it, and none will before the sweep is run again."""

    FINISHED = "finished"
    DIVERGED = "diverged"
    RUNNING = "running"
    PENDING = "pending"
    FAILED = "failed"
    MISSING = "missing"


@dataclass(frozen=True)
class Planned:
    """A run in the plan, with its forecast, or its work relative to other runs if its device was not probed.

    needs, step: its parents, and the step of theirs where it starts; steps: its own number of steps, None if the plan
    does not say; fork: steps before these, which another run takes for it; stacked: it may be trained together with
    others; members: how many runs, itself included, are forecast to share one of its steps on average; beside: a number
    that is the same for runs of stacks that are trained in parallel, and for runs of one stack that was trained
    earlier; 0 for a stack by itself.
    """

    run_id: str
    label: str
    C: float = 0.0
    forecast_seconds: float | None = None
    work: float | None = None
    needs: tuple[str, ...] = ()
    step: int | None = None
    steps: int | None = None
    fork: int = 0
    stacked: bool = False
    members: float = 1.0
    beside: int = 0


@dataclass(frozen=True)
class RunState:
    """The state of one run.

    seconds: of training, for a running one since its claim; seconds_at_step: those until its step was noted, for a
    member of a stack its share of them; silent: seconds since the step was noted, or since the claim; steps: in all,
    None if unknown; began: the step at which this attempt started, or the next one will; step, loss, speed
    (examples/s): present values of a running one. Steps do not include those that another run takes. stacked, members,
    beside: see `Planned`.
    """

    run_id: str
    label: str
    state: State
    seconds: float | None = None
    forecast_seconds: float | None = None
    work: float | None = None
    C: float = 0.0
    host: str = ""
    job: str = ""
    worker: str = ""
    step: int | None = None
    steps: int | None = None
    loss: float | None = None
    speed: float | None = None
    cause: str = ""
    error: str = ""
    attempts: int = 0
    began: int = 0
    seconds_at_step: float | None = None
    silent: float = 0.0
    stacked: bool = False
    members: float = 1.0
    beside: int = 0

    @property
    def where(self) -> str:
        """The machine that trains it, with the worker or the scheduler's job."""
        return " ".join(filter(None, (self.host, self.job and (self.worker or self.job))))

    @property
    def share(self) -> float:
        """The fraction of the run that is done."""
        if self.state in (State.FINISHED, State.DIVERGED):
            return 1.0
        return self.step / self.steps if self.step and self.steps else 0.0

    @property
    def share_before(self) -> float:
        """The fraction of the run that was done before `seconds` began."""
        return min(1.0, self.began / self.steps) if self.steps and self.state is not State.FINISHED else 0.0

    @property
    def share_since(self) -> float:
        """The fraction of the run that was done in `seconds`."""
        return max(0.0, self.share - self.share_before)


@dataclass(frozen=True)
class Status:
    """The status of a sweep; eta_seconds: None if nothing runs or nothing is known; jobs: states by job; notes: for
    the user."""

    name: str
    runs: tuple[RunState, ...]
    eta_seconds: float | None = None
    jobs: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    paused: bool = False

    @cached_property
    def counts(self) -> dict[str, int]:
        """The number of runs in each state, for all states."""
        found = Counter(run.state for run in self.runs)
        return {state.value: found[state] for state in State}

    @property
    def settled(self) -> int:
        """The number of runs that have a record."""
        return self.counts["finished"] + self.counts["diverged"]

    def of(self, *states: State) -> list[RunState]:
        """Return the runs in these states."""
        return [run for run in self.runs if run.state in states]

    def to_dict(self) -> dict[str, Any]:
        """Return the status as plain JSON."""
        return {
            "name": self.name,
            "total": len(self.runs),
            "paused": self.paused,
            "counts": self.counts,
            "eta_seconds": self.eta_seconds,
            "jobs": dict(self.jobs),
            "notes": list(self.notes),
            "runs": [asdict(run) for run in self.runs],
        }
