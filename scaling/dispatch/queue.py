"""The queue of a dispatch: one JSON line for each run, in the order in which workers take them (longest first)."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from scaling.dispatch.states.state import Planned
from scaling.folders import exists, read_lines, write_atomically
from scaling.security.reading import open_file, parse_json, read_bytes
from scaling.security.rights import OWN_FILE

if TYPE_CHECKING:
    from scaling.plan.planned import PlannedRun

REMEMBERED = 4_096  # entries that a worker keeps in memory
ALL = ""  # the group of runs that any worker may take
PLACES = ".places"  # suffix of the file with the place of each line
# One of its lines: run, group, start, size and, in newer versions, steps whose weights are kept, and parents.
PLACE = r"^(\S+)\t{group}\t(.*)$"
KEEPS, NEEDS = 2, 3  # columns after the group
NONE = "\t\t"  # the end of a line where both are empty
READ = ("run_id", "C", "forecast_seconds", "work", "members", "beside", "needs", "step", "steps")
FACTS = (*READ, "group", "tried", "keeps", "stack_key")  # keys of a line of the queue; the others are the run's own
SHOWN = (*READ, "label")  # to a reader of states


@dataclass(frozen=True)
class Entry:
    """One run in the queue.

    forecast_seconds: None if no speed is known; work: relative to other runs, if so; members, beside: see `Planned`; C:
    FLOPs; group: the kind of job it needs; tried: lines of attempts.jsonl when it was dispatched, of which only later
    ones count against its retries; needs: runs that have to be settled first; step: the step of their weights that it
    starts from; keeps: its steps that others start from; stack_key: shared by runs that can be trained together, '' for
    none; steps: its number of steps, None if that does not determine its length; run: PlannedRun.to_dict().
    """

    run_id: str
    C: float
    forecast_seconds: float | None = None
    work: float | None = None
    members: float = 1.0
    beside: int = 0
    group: str = ALL
    tried: int = 0
    needs: tuple[str, ...] = ()
    step: int | None = None
    keeps: tuple[int, ...] = ()
    stack_key: str = ""
    steps: int | None = None
    run: Mapping[str, Any] = field(default_factory=dict)

    @property
    def fork(self) -> tuple[str, int] | None:
        """The run of another length that it continues from, and the step; None for no fork."""
        found = self.run.get("fork")
        return None if found is None else (found["run_id"], found["step"])

    @property
    def after(self) -> tuple[str, ...]:
        """The runs that come before it: its parents, and the run that it forks from."""
        return self.needs if self.fork is None else (*self.needs, self.fork[0])

    @property
    def planned(self) -> Planned:
        """The run as a reader of states needs it."""
        fork = 0 if self.fork is None else self.fork[1]
        facts = {name: getattr(self, name) for name in SHOWN}
        return Planned(**facts, fork=fork, stacked=bool(self.stack_key))

    @property
    def length(self) -> float | None:
        """Its work relative to other runs of the queue, or its forecast; None if neither is known."""
        return self.work or self.forecast_seconds

    @property
    def device(self) -> str:
        """The device that the run names."""
        config: Mapping[str, Any] = self.run.get("config") or {}
        return str((config.get("train") or {}).get("device", "auto"))

    @property
    def label(self) -> str:
        """The overrides that the user varied, or the run's id if there are none."""
        from scaling.plan.planned import as_overrides

        overrides = self.run.get("overrides") or {}
        return " ".join(as_overrides(overrides)) or self.run_id

    def planned_run(self) -> PlannedRun:
        """Return the run; ValueError if its id differs now, because the code has changed since."""
        from scaling.plan.planned import PlannedRun

        run = PlannedRun.from_dict(self.run)
        if run.run_id != self.run_id:
            raise ValueError(f"the queue's run {self.run_id} reads back as {run.run_id}: the code has changed since")
        return run

    def to_json(self) -> str:
        """Return the entry as one JSON line."""
        facts = {name: getattr(self, name) for name in FACTS}
        return json.dumps({**facts, **self.run}, allow_nan=False)

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Entry:
        """Read an entry from its parsed line."""
        known = {name: raw[name] for name in FACTS if name in raw}  # a queue of an older version lacks some
        facts: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in known.items()
        }
        return cls(**facts, run={key: value for key, value in raw.items() if key not in FACTS})


def write_queue(path: Path, queue: Sequence[Entry]) -> None:
    """Write a queue and the places of its lines, so that workers read only what they take, each file atomically.

    The queue is the last to be written, because workers wait for it.
    """
    start, lines, places = 0, [], []
    for entry in queue:
        line = (entry.to_json() + "\n").encode()
        lines.append(line)
        keeps, needs = " ".join(map(str, entry.keeps)), " ".join(entry.needs)
        places.append(f"{entry.run_id}\t{entry.group}\t{start}\t{len(line)}\t{keeps}\t{needs}\n")
        start += len(line)
    write_atomically(path.with_suffix(PLACES), "".join(places), mode=OWN_FILE)
    write_atomically(path, b"".join(lines), mode=OWN_FILE)


def _text(path: Path) -> str:
    try:
        return read_bytes(path).decode(errors="replace")
    except FileNotFoundError:
        return ""


def _end(places: str) -> int:
    """Return the end of the last line in a places file, 0 if it has none."""
    last = places[places.rfind("\n", 0, -1) + 1 :]
    try:
        return sum(map(int, last.split("\t")[2:4]))
    except ValueError:  # cut
        return 0


class LazyQueue:
    """The runs of a queue that belong to one group, each read when it is requested."""

    def __init__(self, path: Path, group: str = ALL) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._places: dict[str, str] = {}
        self._read: dict[str, Entry] = {}
        text = _text(path.with_suffix(PLACES))
        if exists(path) and _end(text) < path.stat().st_size:  # of an older version, or truncated
            self._read = {entry.run_id: entry for entry in read_queue(path, group=group)}
        else:
            own = r"[^\t\n]*" if group == ALL else re.escape(group)
            self._places = dict(re.findall(PLACE.format(group=own), text, re.MULTILINE))

    @property
    def run_ids(self) -> list[str]:
        """The ids of the runs, in order."""
        return list(self._places or self._read)

    @cached_property
    def keepers(self) -> frozenset[str]:
        """The runs from whose weights others start."""
        perhaps = [run_id for run_id, place in self._places.items() if not place.endswith(NONE)] or self._read
        return frozenset(run_id for run_id in perhaps if self.keeps(run_id))

    def keeps(self, run_id: str) -> tuple[int, ...]:
        """Return the steps of a run from whose weights others start."""
        read = self._read.get(run_id)
        return tuple(map(int, self._facts(run_id, KEEPS))) if read is None else read.keeps

    def needs(self, run_id: str) -> Sequence[str]:
        """Return the parents of a run, which have to be settled before it."""
        read = self._read.get(run_id)
        return self._facts(run_id, NEEDS) if read is None else read.needs

    def _facts(self, run_id: str, column: int) -> list[str]:
        columns = self._places.get(run_id, "").split("\t")
        return columns[column].split() if column < len(columns) else []

    def get(self, run_id: str) -> Entry | None:
        """Read one run, None if it is not in this queue, or its line is truncated."""
        if run_id not in self._places:
            return self._read.get(run_id)
        if run_id not in self._read:
            if len(self._read) >= REMEMBERED:
                self._read.clear()
            try:
                start, size = self._places[run_id].split("\t")[:2]
                self._read[run_id] = self._entry(int(start), int(size))
            except (FileNotFoundError, ValueError, TypeError, AttributeError):
                return None
        return self._read[run_id]

    def _entry(self, start: int, size: int) -> Entry:
        if self._file is None:
            self._file = open_file(self._path, most=None)
        return Entry.from_dict(parse_json(os.pread(self._file.fileno(), size, start)))


def read_queue(path: Path, *, group: str = ALL) -> list[Entry]:
    """Read a queue, or the part of it that belongs to one group."""
    found = (Entry.from_dict(raw) for raw in read_lines(path) if {"run_id", "C"} <= raw.keys())  # else it is damaged
    return [entry for entry in found if group in (ALL, entry.group)]
