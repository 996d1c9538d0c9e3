"""Read from the plans of a results folder which runs they have, and from which weights and states runs start."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from pathlib import Path

from scaling.dispatch.states.settled import SettledRuns
from scaling.folders import SHARED_FOLDERS, SweepFolder
from scaling.plan.rows import broken_plan, read_columns

COLUMNS = ("run_id", "parent", "parent_step", "origin", "trunk", "trunk_step")


@dataclass(frozen=True)
class Named:
    """The content of all plans.

    runs: all runs in a plan, and those that they start from; children: by (run, step), the runs that start from these
    weights; forks: by (run, step), the runs that continue from this whole state.
    """

    runs: Set[str]
    children: Mapping[tuple[str, int], Set[str]]
    forks: Mapping[tuple[str, int], Set[str]]


def plan_folders(results: Path) -> Iterator[SweepFolder]:
    """Yield every sweep of a results folder that has a plan, whatever it is called, and through links."""
    seen = {results.resolve() / name for name in SHARED_FOLDERS}
    for path, folders, files in os.walk(results, followlinks=True):
        new = {name: place for name in sorted(folders) if (place := (Path(path) / name).resolve()) not in seen}
        seen |= {*new.values()}
        folders[:] = new
        if "plan.csv" in files:
            yield SweepFolder(results, Path(path).relative_to(results).as_posix())


def read_named(results: Path) -> Named:
    """Read all plans of a results folder; BrokenPlan if one cannot be read."""
    runs: set[str] = set()
    children: dict[tuple[str, int], set[str]] = {}
    forks: dict[tuple[str, int], set[str]] = {}
    for folder in plan_folders(results):
        try:
            for run_id, parent, parent_step, origin, trunk, trunk_step in read_columns(folder, COLUMNS):
                runs |= {name for name in (run_id, parent, origin, trunk) if name}
                if parent and parent_step:
                    children.setdefault((parent, int(float(parent_step))), set()).add(run_id)
                if trunk and trunk_step:
                    forks.setdefault((trunk, int(float(trunk_step))), set()).add(run_id)
        except (ValueError, OverflowError) as error:
            raise broken_plan(folder) from error
    return Named(runs, children, forks)


class Wanted:
    """Which kept weights and states are still needed by runs that are to be trained."""

    def __init__(self, named: Named, settled: SettledRuns) -> None:
        self._named, self._settled = named, settled
        self._kept: dict[str, list[int]] = {}
        for run_id, step in named.children:
            self._kept.setdefault(run_id, []).append(step)

    def weights(self, run_id: str, step: int) -> bool:
        """Return whether a run that is to be trained starts from these weights."""
        return any(not self._done(child) for child in self._named.children.get((run_id, step), ()))

    def once(self, run_id: str, step: int) -> bool:
        """Return whether any planned run starts, or has started, from these weights."""
        return (run_id, step) in self._named.children

    def fork(self, run_id: str, step: int) -> bool:
        """Return whether a run that is to be trained continues from this state."""
        return any(self._settled.get(child) is None for child in self._named.forks.get((run_id, step), ()))

    def _done(self, run_id: str) -> bool:
        """Return whether a run is settled and has the weights that others need; otherwise it will be trained again."""
        steps = [step for step in self._kept.get(run_id, ()) if self.weights(run_id, step)]
        return self._settled.done(run_id, steps)
