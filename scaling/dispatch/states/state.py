"""The states of a sweep's runs at one moment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any

BLOCKED = "blocked"  # the cause why a run waits for ever: what it starts from failed, or diverged too early


class State(StrEnum):
    """Where a run stands; missing: nothing works on it and nothing will until the sweep is run again."""

    FINISHED = "finished"
    DIVERGED = "diverged"
    RUNNING = "running"
    PENDING = "pending"
    FAILED = "failed"
    MISSING = "missing"


@dataclass(frozen=True)
class Planned:
    """What the plan and the forecast say of a run.

    needs: runs before it, `step`: of theirs, where it starts; steps: that it takes, None where the plan does not say;
    fork: steps before those, which another run takes for it.
    """

    run_id: str
    label: str
    C: float = 0.0
    forecast_seconds: float | None = None
    needs: tuple[str, ...] = ()
    step: int | None = None
    steps: int | None = None
    fork: int = 0


@dataclass(frozen=True)
class RunState:
    """One run; seconds: trained, or since its claim; told: those when its step was noted; steps: in all, or None.

    began: the step that it was taken up at, or will be, if nothing was lost. step, loss, speed (examples/s),
    step_seconds: while it runs, of now. Steps are its own, without those that another run takes for it.
    """

    run_id: str
    label: str
    state: State
    seconds: float | None = None
    forecast_seconds: float | None = None
    C: float = 0.0
    host: str = ""
    job: str = ""
    worker: str = ""
    step: int | None = None
    steps: int | None = None
    loss: float | None = None
    speed: float | None = None
    step_seconds: float | None = None
    cause: str = ""
    error: str = ""
    attempts: int = 0
    began: int = 0
    told: float | None = None

    @property
    def where(self) -> str:
        """Who trains it: the machine, and its worker there or the scheduler's job."""
        return " ".join(filter(None, (self.host, self.job and (self.worker or self.job))))

    @property
    def share(self) -> float:
        """How much of the run is done, 0 to 1."""
        if self.state in (State.FINISHED, State.DIVERGED):
            return 1.0
        return self.step / self.steps if self.step and self.steps else 0.0

    @property
    def found(self) -> float:
        """How much of the run was done before its seconds began, 0 to 1."""
        return min(1.0, self.began / self.steps) if self.steps and self.state is not State.FINISHED else 0.0

    @property
    def since(self) -> float:
        """How much of the run was done in its seconds, 0 to 1."""
        return max(0.0, self.share - self.found)


@dataclass(frozen=True)
class Status:
    """A sweep at one moment; eta_seconds: None where nothing runs or nothing is known; notes: what stands out."""

    name: str
    runs: tuple[RunState, ...]
    eta_seconds: float | None = None
    jobs: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    paused: bool = False

    @cached_property
    def counts(self) -> dict[str, int]:
        """Runs in each state, all states named."""
        found = Counter(run.state for run in self.runs)
        return {state.value: found[state] for state in State}

    @property
    def settled(self) -> int:
        """Runs that have a record."""
        return self.counts["finished"] + self.counts["diverged"]

    def of(self, *states: State) -> list[RunState]:
        """Return the runs in these states."""
        return [run for run in self.runs if run.state in states]

    def to_json(self) -> dict[str, Any]:
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
