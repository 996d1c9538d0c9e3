"""The launcher for this machine: a pool of workers with one queue, or one run in this process."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any

from scaling import devices
from scaling.dispatch.dispatches import Dispatch, DispatchFolder
from scaling.dispatch.launcher import Capacity, Dispatched, Sheet
from scaling.dispatch.launchers import Local
from scaling.dispatch.order import TRAIN, Order
from scaling.dispatch.states.state import RunState, State, Status
from scaling.dispatch.states.time_left import eta
from scaling.folders import SweepFolder

if TYPE_CHECKING:
    from scaling.config import RunConfig
    from scaling.dispatch.show import View
    from scaling.forecast.speed import Speed


def _shown(order: Order, view: View) -> Callable[[Any], None]:
    """Return a callback that shows the progress of a single run."""
    [entry] = order.entries
    started = time.monotonic()

    def show(progress: Any) -> None:
        state = RunState(
            entry.run_id,
            entry.label,
            State.RUNNING,
            seconds=time.monotonic() - started,
            forecast_seconds=entry.forecast_seconds,
            step=progress.step,
            steps=progress.steps,
            loss=progress.loss,
            speed=progress.examples_per_second,
        )
        view.update(Status(order.folder.name, (state,), eta([state])))

    return show


class LocalLauncher:
    """Trains on this machine while the command waits."""

    def __init__(self, settings: Local) -> None:
        self._settings = settings

    def check(self, configs: Collection[RunConfig]) -> None:
        """Check that devices, data and files exist; UserError says what is missing."""
        from scaling.dispatch.local.check import check_data, check_devices

        check_devices(configs)
        check_data(configs)

    def prepare(self) -> None:
        """Start the process that imports torch for the workers; it ends with this one."""
        from scaling.dispatch.local.forkserver import fork_server

        fork_server(TRAIN, self._settings.threads)

    def capacity(self, devices_named: Collection[str], runs: int) -> Capacity:
        """Return the number of workers, and of GPUs that they can share."""
        from scaling.dispatch.local.capacity import gpus_for, workers_for

        gpus = gpus_for(devices_named)
        shared = len(gpus) if self._settings.workers is None else 0
        return Capacity(workers_for(self._settings, gpus=len(gpus), most=max(1, runs)), gpus=shared)

    def submit(self, order: Order, view: View) -> Dispatched:
        """Train the runs and return the outcome."""
        if order.single:
            from scaling.dispatch.single import run_single

            os.environ.update(devices.thread_environment(self._settings.threads))  # torch reads them once, at its start
            with view:
                outcome = run_single(order, self._settings, watch=_shown(order, view))
        else:
            from scaling.dispatch.local.run import run_local

            outcome = run_local(order, self._settings, view)
        return Dispatched(outcome, outcome.to_dict(), found=outcome.found, held=outcome.held)

    def rehearse(self, order: Order) -> list[Sheet]:
        """Return nothing: there is no scheduler."""
        return []

    def job_states(self, dispatches: Sequence[tuple[DispatchFolder, Dispatch]]) -> dict[str, str]:
        """Return nothing: workers are processes, identified by their claims."""
        return {}

    def trouble(self, dispatches: Sequence[tuple[DispatchFolder, Dispatch]]) -> list[str]:
        """Return nothing: the dispatcher supervises its workers."""
        return []

    def cancel(self, files: DispatchFolder, dispatch: Dispatch) -> list[str]:
        """Return nothing: workers stop by their stop file."""
        return []

    def probe(self, folder: SweepFolder, device: str) -> Speed:
        """Measure this machine's device."""
        from scaling.forecast.probe import probe_speed
        from scaling.forecast.speed import keep_speed

        os.environ.update(devices.thread_environment(self._settings.threads))
        speed = probe_speed(device, threads=self._settings.threads)
        keep_speed(speed)
        return speed

    def describe(self) -> list[str]:
        """Return nothing: `scaling doctor` lists the devices anyway."""
        return []
