"""The queue of a dispatch: one JSON line a run, in the order in which workers take them (longest first)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scaling.dispatch.attempts import read_attempts
from scaling.folders import SweepFolder, read_lines, write_aside

if TYPE_CHECKING:
    from scaling.plan import PlannedRun

ALL = ""  # the group of runs that any worker may take


@dataclass(frozen=True)
class Entry:
    """One run as the queue holds it.

    `forecast_seconds`: None where no speed is known; `C`: FLOPs; `group`: the kind of job it needs; `tried`: lines of
    attempts.jsonl when it was dispatched: only later ones count against its retries; `run`: PlannedRun.to_dict().
    """

    run_id: str
    C: float
    forecast_seconds: float | None = None
    group: str = ALL
    tried: int = 0
    run: Mapping[str, Any] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """What the user varied, or the run's id where nothing was."""
        overrides = self.run.get("overrides") or {}
        return " ".join(f"{key}={value}" for key, value in overrides.items()) or self.run_id

    def line(self) -> str:
        """Return the entry as one JSON line."""
        facts = {name: getattr(self, name) for name in ("run_id", "C", "forecast_seconds", "group", "tried")}
        return json.dumps({**facts, **self.run}, allow_nan=False)

    @classmethod
    def read(cls, raw: Mapping[str, Any]) -> Entry:
        """Read one line back."""
        facts = {name: raw[name] for name in ("run_id", "C", "forecast_seconds", "group", "tried")}
        return cls(**facts, run={key: value for key, value in raw.items() if key not in facts})


def entries(
    folder: SweepFolder, runs: Iterable[PlannedRun], *, forecast: Mapping[str, float] | None = None
) -> list[Entry]:
    """Return the queue of `runs`, longest first (by forecast in seconds, or by FLOPs where there is none)."""
    forecast = forecast or {}
    made = [
        Entry(
            run_id=run.run_id,
            C=run.quantities.C,
            forecast_seconds=forecast.get(run.run_id),
            tried=len(read_attempts(folder.run(run.run_id))),
            run=run.to_dict(),
        )
        for run in runs
    ]
    return sorted(made, key=lambda entry: (-(entry.forecast_seconds or 0.0), -entry.C, entry.run_id))


def write_queue(path: Path, queue: Sequence[Entry]) -> None:
    """Write a queue, whole or not at all."""
    write_aside(path, "".join(entry.line() + "\n" for entry in queue))


def read_queue(path: Path, *, group: str = ALL) -> list[Entry]:
    """Read a queue, or the part of it that belongs to one group."""
    return [Entry.read(raw) for raw in read_lines(path) if group in (ALL, raw["group"])]
