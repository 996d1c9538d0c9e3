"""Forecast runs that are trained without a plan being shown, such as the candidates of a round."""

from __future__ import annotations

from collections.abc import Sequence

from scaling.dispatch.launcher import Capacity, Settings, launcher_of
from scaling.forecast.estimate import Forecast, forecast_all
from scaling.forecast.stacks import stack_shares
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
