"""Forecast runs that are trained without a plan being shown, such as the candidates of a round."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from scaling.dispatch.launcher import Capacity, Settings, launcher_of
from scaling.dispatch.states.read_state import Reader
from scaling.dispatch.states.settled import SettledRuns
from scaling.dispatch.states.state import Planned, RunState, State
from scaling.forecast.estimate import Forecast, forecast_all
from scaling.forecast.stacks import stack_shares
from scaling.plan.plan import Plan
from scaling.plan.planned import PlannedRun


def forecast_runs(runs: Sequence[PlannedRun], settings: Settings) -> dict[str, Forecast]:
    """Forecast runs that a launcher's workers train together, by run_id, from the speed probe of their device."""
    capacity = launcher_of(settings).capacity({run.config.train.device for run in runs}, len(runs))
    shared = stack_shares(runs, kind=worker_kind(settings, capacity), workers=capacity.workers)
    return forecast_all(runs, threads=settings.threads, partition=capacity.speed_name, stack_shares=shared)


def worker_kind(settings: Settings, capacity: Capacity) -> str | None:
    """Return the kind of device of a launcher's workers, None for this machine's."""
    if capacity.speed_name is None:
        return None
    return "cuda" if getattr(settings, "gpus", 0) else "cpu"


def forecaster(plan: Plan) -> Callable[[Iterable[PlannedRun]], dict[str, Forecast]]:
    """Return a function that forecasts further runs of a plan by run_id, on its device, corrected by finished runs."""
    devices = {run.config.train.device for run in plan.runs}
    speed_name = launcher_of(plan.launcher).capacity(devices, 1).speed_name
    done = [] if speed_name else trained_here(plan.runs, states_of(plan, SettledRuns(plan.folder)))
    return partial(forecast_all, threads=plan.launcher.threads, done=done, partition=speed_name)


def states_of(plan: Plan, settled: SettledRuns) -> Sequence[RunState]:
    """Return the state of each run of a plan."""
    planned = [Planned(run.run_id, label=run.run_id) for run in plan.runs]
    return Reader(plan.folder, planned, settled=settled).read().runs


def trained_here(runs: Sequence[PlannedRun], states: Sequence[RunState]) -> list[tuple[PlannedRun, float]]:
    """Return the runs that this machine has finished, with their seconds."""
    here = platform.node()
    return [
        (run, state.seconds)
        for run, state in zip(runs, states, strict=True)
        if state.state == State.FINISHED and state.host == here and state.seconds
    ]
