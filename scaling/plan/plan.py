"""The plan of a sweep: its runs, the cells that are not run, and where and how the runs are to be trained."""

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
    """A sweep, planned: its runs, the cells that are not run, and where and how the runs are to be trained.

    name: folder under `results`; launcher: the launcher's config, plain; duplicates: cells that turned out to be
    a run already in the plan; sweep: the sweep file's name, None for an ad-hoc plan; arguments: the command line;
    single: one run, here and now. mirror: a tool of config.MIRRORS; on_end: a command for the end; empty where there
    is none; group: a new results folder is its group's to write.
    """

    name: str
    results: Path
    launcher: Mapping[str, Any]
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

    @property
    def folder(self) -> SweepFolder:
        """Where the plan is written."""
        return SweepFolder(self.results, self.name)
