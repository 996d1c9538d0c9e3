"""The plan of a sweep."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scaling.folders import SweepFolder
from scaling.limits import Limits
from scaling.plan.planned import PlannedRun


@dataclass(frozen=True)
class Dropped:
    """A cell that is not run, with the reason."""

    overrides: Mapping[str, Any]
    reason: str


@dataclass(frozen=True)
class Plan:
    """The plan of a sweep: its runs, the dropped cells, and where and how the runs are to be trained.

    name: folder under `results`; launcher: the launcher's settings; duplicates: number of cells that gave a run
    already in the plan; alike: keys in which such cells differ; sweep: the sweep file's name, None for an ad-hoc plan;
    arguments: the command line; single: train one run in this process; mirror: a tool of config.MIRRORS, or "";
    on_end: a command for the end, or ""; group: make a new results folder writable for its group.
    """

    name: str
    results: Path
    launcher: Any
    limit: Limits
    runs: tuple[PlannedRun, ...]
    dropped: tuple[Dropped, ...]
    duplicates: int
    sweep: str | None
    arguments: tuple[str, ...]
    single: bool
    mirror: str = ""
    on_end: str = ""
    group: bool = False
    alike: tuple[str, ...] = ()

    @property
    def folder(self) -> SweepFolder:
        """The folder of the plan."""
        return SweepFolder(self.results, self.name)
