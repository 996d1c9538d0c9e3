"""Find branches that cannot continue from their trunk, because it is settled and its state is gone."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

from scaling.dispatch.states.settled import SettledRuns
from scaling.folders import SweepFolder

if TYPE_CHECKING:
    from scaling.plan.planned import PlannedRun


def without_lost_trunks(runs: Sequence[PlannedRun], folder: SweepFolder, settled: SettledRuns) -> list[PlannedRun]:
    """Return the runs with the fork removed where the trunk has left no state, so that they are trained whole."""
    return [dataclasses.replace(run, fork=None) if _lost(run, folder, settled) else run for run in runs]


def _lost(run: PlannedRun, folder: SweepFolder, settled: SettledRuns) -> bool:
    fork = run.fork
    if fork is None or settled.get(run.run_id) is not None or settled.get(fork.run_id) is None:
        return False
    return not folder.run(fork.run_id).fork(fork.step).is_file() and not folder.run(run.run_id).checkpoint.exists()
