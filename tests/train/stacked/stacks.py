"""Runs to be stacked, and their training together in this process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scaling.plan.planned import PlannedRun
from scaling.train.run import train_run
from scaling.train.stacked.run import Ending, Member, train_stack
from tests.train.runs import folder_of, planned

Keys = Mapping[str, Any]


def stacked(keys: Keys, *, engine: str = "stacked") -> PlannedRun:
    """Plan a run by the keys of `planned`, for this engine."""
    return planned({**keys.get("train", {}), "engine": engine}, **{k: v for k, v in keys.items() if k != "train"})


def together(
    runs: Sequence[PlannedRun], results: Path, *, stops: Mapping[str, Any] | None = None, device: str = "cpu"
) -> list[Ending]:
    """Train runs in one stack and return how each left it; stops: whether to stop, by run."""
    ends: dict[str, Ending] = {}
    members = [
        Member(
            run,
            folder_of(run, results),
            ended=lambda ending, run_id=run.run_id: ends.__setitem__(run_id, ending),
            stop=(stops or {}).get(run.run_id),
        )
        for run in runs
    ]
    train_stack(members, device=device)
    return [ends[run.run_id] for run in runs]


def records(runs: Sequence[PlannedRun], results: Path, *, device: str = "cpu") -> list[Any]:
    """Train runs in one stack and return their records; what one of them raised is raised."""
    found = [ending.result for ending in together(runs, results, device=device)]
    for result in found:
        if isinstance(result, Exception):
            raise result
    return found


def alone(keys: Keys, results: Path, *, device: str = "cpu") -> Any:
    """Return the record of the run that engine=eager trains of the same keys."""
    run = stacked(keys, engine="eager")
    return train_run(run, folder_of(run, results), device=device)


def losses(record: Any) -> list[float]:
    """The losses of a record, of test, validation and training examples, and its rates."""
    return [value for point in record.points for value in (point.loss, point.val_loss, point.train_loss, point.lr)]
