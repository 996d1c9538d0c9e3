"""Find branches that do not, or did not, continue from their trunk."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

from scaling.dispatch.states.settled import SettledRuns
from scaling.folders import SweepFolder, exists

if TYPE_CHECKING:
    from scaling.plan.planned import Fork, PlannedRun


def without_lost_trunks(runs: Sequence[PlannedRun], folder: SweepFolder, settled: SettledRuns) -> list[PlannedRun]:
    """Return the runs with the fork from which each was, or will be, trained.

    A run has no fork if the trunk is settled and its state is gone, or if it was trained from its beginning, such as
    the former trunk of a sweep that has a longer length now.
    """
    forks = [_fork(run, folder, settled) for run in runs]
    return [
        run if fork == run.fork else dataclasses.replace(run, fork=fork) for run, fork in zip(runs, forks, strict=True)
    ]


def _fork(run: PlannedRun, folder: SweepFolder, settled: SettledRuns) -> Fork | None:
    fork = run.fork
    if fork is None:
        return None
    if (own := settled.get(run.run_id)) is not None:
        return dataclasses.replace(fork, step=own.forked) if own.forked else None
    lost = settled.get(fork.run_id) is not None and not exists(folder.run(fork.run_id).fork(fork.step))
    return None if lost else fork
