"""The outcome of a dispatch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from scaling.dispatch.states.state import BLOCKED, State, Status

INTERRUPTED = 130  # 128 + SIGINT, the convention of shells


@dataclass(frozen=True)
class Failure:
    """A run that failed: why, in one line."""

    run_id: str
    label: str
    cause: str
    error: str


@dataclass(frozen=True)
class Outcome:
    """How a dispatch ended.

    settled: number of runs with a record now; found: of these, settled before; elsewhere: runs that another dispatcher
    is training; held: why some were not started, '' if all were; stopped: interrupted by the user or cancelled;
    blocked: runs whose parents failed, or diverged too early.
    """

    runs: int
    settled: int
    found: int
    failures: tuple[Failure, ...] = ()
    elsewhere: int = 0
    held: str = ""
    stopped: bool = False
    blocked: int = 0
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return the outcome as plain JSON."""
        return {**asdict(self), "missing": self.missing, "exit_code": self.exit_code}

    @property
    def missing(self) -> int:
        """The number of runs without a record that did not fail."""
        return self.runs - self.settled - len(self.failures)

    @property
    def unexplained(self) -> int:
        """The number of runs without a record that are not failed, blocked, held by a limit or trained elsewhere."""
        return 0 if self.held else max(0, self.missing - self.blocked - self.elsewhere)

    @property
    def exit_code(self) -> int:
        """0: all settled, held by a limit or trained elsewhere; 1: some failed, blocked, missing; 130: interrupted."""
        if self.stopped:
            return INTERRUPTED
        return 1 if self.failures or self.blocked or self.unexplained else 0


def outcome_of(status: Status, out_of_reach: Mapping[str, str] | None = None) -> Outcome:
    """Return how a dispatch ended, from the states of its runs after its workers have ended.

    out_of_reach: runs whose files the workers could not read or write, with the reason.
    """
    lost = out_of_reach or {}
    failed = status.of(State.FAILED)
    failures = [Failure(run.run_id, run.label, run.cause, run.error) for run in failed]
    open_runs = [run for run in status.of(State.PENDING, State.MISSING) if run.run_id in lost]
    failures += [Failure(run.run_id, run.label, "out_of_reach", lost[run.run_id]) for run in open_runs]
    elsewhere = status.counts["running"]
    blocked = sum(run.cause == BLOCKED for run in status.runs)
    return Outcome(len(status.runs), status.settled, 0, tuple(failures), elsewhere, blocked=blocked)
