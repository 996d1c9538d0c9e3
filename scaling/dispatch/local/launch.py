"""Many runs on this machine: a fixed number of workers, each a submitit job, in front of one queue."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from scaling import devices
from scaling.dispatch import limits as guard
from scaling.dispatch.launchers import Local
from scaling.dispatch.local.pool import Pool, start_ahead
from scaling.dispatch.local.supervisor import Supervisor
from scaling.dispatch.outcome import Outcome, outcome_of
from scaling.dispatch.queue import entries
from scaling.dispatch.states.read_state import Reader
from scaling.dispatch.states.settled import settled
from scaling.dispatch.states.state import Planned
from scaling.dispatch.worker import TRAIN
from scaling.folders import SweepFolder
from scaling.plan.limits import UNLIMITED, Limits

if TYPE_CHECKING:
    from scaling.dispatch.show import View
    from scaling.plan.planned import PlannedRun


def run_local(
    folder: SweepFolder,
    runs: Sequence[PlannedRun],
    launcher: Local,
    *,
    limits: Limits = UNLIMITED,
    forecast: Mapping[str, float] | None = None,
    pool: Pool | None = None,
    view: View | None = None,
    train: str = TRAIN,
) -> Outcome:
    """Train on this machine what of `runs` is not settled, and return how it ended.

    `forecast`: seconds by run_id; `pool`: workers started ahead (they are used up); `view`: see `show.view`.
    """
    begun = time.monotonic()
    folder = SweepFolder(folder.results.resolve(), folder.name)
    device = next((run.config.train.device for run in runs if run.config.train.device != "cpu"), "cpu")
    gpus = 1 if device != "cpu" and devices.gpus() else 0
    open_runs = sum(not folder.run(run.run_id).record.exists() for run in runs)
    if open_runs and pool is None:  # torch starts in the workers while the queue is made here
        pool = start_ahead(folder, launcher, device=device, most=open_runs, train=train)
    planned = entries(folder, runs, forecast=forecast)
    offer = guard.offer(limits, folder, planned, gpus=gpus)
    reader = Reader(folder, [Planned(e.run_id, e.label, e.C, e.forecast_seconds, e.needs, e.step) for e in planned])
    found = sum(settled(folder.run(entry.run_id), entry.keeps) for entry in planned)
    stopped, held = False, offer.held
    if offer.queue:
        pool = pool or start_ahead(folder, launcher, device=device, most=len(offer.queue), train=train)
        pool.give(offer, limits)
        supervisor = Supervisor(pool, reader, view)
        stopped = supervisor.until_done()
        held = held or supervisor.held
    elif pool is not None:
        pool.close()
    return replace(outcome_of(reader.read()), found=found, held=held, stopped=stopped, seconds=time.monotonic() - begun)
