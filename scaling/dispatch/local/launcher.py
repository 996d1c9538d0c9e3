"""The launcher for this machine: a pool of workers with one queue, or one run in this process."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

from scaling import devices
from scaling.dispatch.launcher import Capacity, Dispatched, Launcher
from scaling.dispatch.launchers import Local
from scaling.dispatch.order import TRAIN, Order
from scaling.dispatch.states.state import RunState, State, Status
from scaling.dispatch.states.time_left import eta
from scaling.errors import UserError
from scaling.folders import SweepFolder, exists

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


class LocalLauncher(Launcher):
    """Trains on this machine while the command waits; its workers are known by their claims and their stop file."""

    def __init__(self, settings: Local) -> None:
        self._settings = settings

    def check(self, configs: Collection[RunConfig]) -> None:
        """Check that devices, data and files exist; UserError says what is missing."""
        _check_devices(configs)
        _check_data(configs)

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

    def probe(self, folder: SweepFolder, device: str) -> Speed:
        """Measure this machine's device."""
        from scaling.forecast.probe import probe_speed
        from scaling.forecast.speed import keep_speed

        os.environ.update(devices.thread_environment(self._settings.threads))
        speed = probe_speed(device, threads=self._settings.threads)
        keep_speed(speed)
        return speed


def _check_devices(configs: Collection[RunConfig]) -> None:
    """Check that the named devices exist; UserError if one does not."""
    for device in {config.train.device for config in configs} - {"auto", "cpu"}:
        from scaling.train.device import find_device

        find_device(device)


def _check_data(configs: Collection[RunConfig]) -> None:
    """Check that data sets and the files of stages exist; UserError says what is missing and what to do."""
    for data in {config.data for config in configs}:
        source = data.source()
        if not source.ready:
            raise UserError(f"found no {data.name} at {source.where}; wanted its data; {source.advice}")
    for stage in {config.stage for config in configs}:
        for file in stage.files():
            if file.is_dir() or not exists(file):
                raise UserError(f"found no file {file}, which stage={stage.name} reads; put it there")
