"""A plan on this machine: which runs are settled, and the forecast cost of the others."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from scaling.commands.forecast_runs import states_of, trained_here, worker_kind
from scaling.commands.plan_disk import checkpoint_bytes, disk_use
from scaling.commands.plan_warnings import plan_warnings
from scaling.dispatch.launcher import Capacity, Settings, launcher_of
from scaling.dispatch.local.capacity import workers_per_gpu
from scaling.dispatch.states.attempts import SETTLED
from scaling.dispatch.states.settled import SettledRuns
from scaling.dispatch.states.stale import stale_of
from scaling.dispatch.states.state import State
from scaling.dispatch.states.trunks import without_lost_trunks
from scaling.errors import UserError
from scaling.folders import exists
from scaling.forecast.estimate import Forecast, Forecasts, forecast, forecast_all, relative_work
from scaling.forecast.stacks import gain_of_stacking, shares_of_the_rest
from scaling.forecast.work import ALONE, StackShare
from scaling.numbers import flops
from scaling.plan.identity import stack_key
from scaling.plan.plan import Plan
from scaling.plan.planned import PlannedRun, as_overrides


@dataclass(frozen=True)
class PlanForecast:
    """A plan with the status and the forecast of each run, and the totals.

    settled: cache of settled runs; lacking: settled runs without a milestone that is requested now; changed: settled
    runs whose model now has other counts of parameters or FLOPs; older: unsettled runs that are settled by an older
    recipe; stale: settled runs that were trained on different data or code, with what differs; trained: the runs with
    the forks from which they are or were trained, by run_id; stacked_gain: factor by which engine=stacked would reduce
    the time, None if unknown.
    """

    plan: Plan
    settled: SettledRuns
    status: Mapping[str, str]
    forecasts: Forecasts
    workers: int
    lacking: tuple[PlannedRun, ...]
    changed: tuple[PlannedRun, ...]
    older: tuple[PlannedRun, ...]
    stale: Mapping[str, tuple[str, ...]]
    trained: Mapping[str, PlannedRun]
    stacked_gain: float | None = None

    def flops(self, runs: Iterable[PlannedRun]) -> int:
        """Return the FLOPs of training these runs."""
        return sum(self.trained[run.run_id].C_spent for run in runs)

    @property
    def remaining(self) -> list[PlannedRun]:
        """The runs that are not settled."""
        return [run for run in self.plan.runs if self.status[run.run_id] not in SETTLED]

    def totals(self) -> dict[str, Any]:
        """Add up runs, FLOPs, time, disk and files; time is None if no speed is known."""
        runs, remaining = self.plan.runs, self.remaining
        seconds, disk = self._seconds(remaining), disk_use(runs)
        return {
            "runs": len(runs),
            "finished": len(runs) - len(remaining),
            "remaining": len(remaining),
            "dropped": len(self.plan.dropped),
            "duplicates": self.plan.duplicates,
            "lacking_milestones": len(self.lacking),
            "changed_models": len(self.changed),
            "settled_by_older_recipe": len(self.older),
            "stale": len(self.stale),
            "C": self.flops(runs),
            "C_alone": sum(run.quantities.C for run in runs),
            "C_remaining": self.flops(remaining),
            "forked": sum(run.fork is not None for run in self.trained.values()),
            "orphans": sum(run.fork is not None and self.trained[run.run_id].fork is None for run in remaining),
            "forecast_seconds": seconds,
            "workers": self.workers,
            "wall_seconds": None if seconds is None else self._wall(remaining),
            "basis": self._basis(),
            "stacked_gain": self.stacked_gain,
            "disk_bytes": disk.bytes,
            "peak_checkpoint_bytes": self._peak_checkpoint_bytes(),
            "files": disk.files,
        }

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as JSON: runs, total, dropped."""
        return {
            "name": self.plan.name,
            "runs": [self._run(run) for run in self.plan.runs],
            "total": self.totals(),
            "dropped": [
                {"overrides": as_overrides(cell.overrides), "reason": cell.reason} for cell in self.plan.dropped
            ],
            "limit": {"gpu_hours": self.plan.limit.gpu_hours, "flops": self.plan.limit.flops},
            "doubts": plan_warnings(self.plan.runs),
        }

    def _run(self, run: PlannedRun) -> dict[str, Any]:
        forecast = self.forecasts.by_id.get(run.run_id)
        return {
            **run.row(),
            "overrides": as_overrides(run.overrides),
            "forecast_seconds": None if forecast is None else forecast.seconds,
            "status": self.status[run.run_id],
            "stale": list(self.stale.get(run.run_id, ())),
        }

    def _peak_checkpoint_bytes(self) -> int:
        """Return the largest bytes of checkpoints at a time, for all runs that the workers train at once in stacks."""
        each = {run.run_id: checkpoint_bytes(run) for run in self.plan.runs}
        at_once = self.workers * max(size * self.forecasts.share(run_id).runs for run_id, size in each.items())
        return min(round(at_once), sum(each.values()))

    def _basis(self) -> str:
        if not self.forecasts.by_id:
            from scaling.commands.rounds.candidates import launcher_overrides

            probe = shlex.join(["scaling", "probe", *launcher_overrides(self.plan.arguments)])
            return f"no measured speed for this device; run `{probe}`"
        bases = [forecast.basis for forecast in self.forecasts.by_id.values()]
        heads = {basis.partition(",")[0] for basis in bases if not basis.endswith("no probe")}
        text = ", ".join(sorted(heads)) or "no probe"
        text += ", corrected by finished runs" if any("done" in basis for basis in bases) else ""
        return text + (", a guess for a model of your own" if any("a guess" in basis for basis in bases) else "")

    def _seconds(self, runs: list[PlannedRun]) -> float | None:
        if any(run.run_id not in self.forecasts.by_id for run in runs):
            return None
        return sum(self.forecasts.by_id[run.run_id].seconds for run in runs)

    def _wall(self, runs: list[PlannedRun]) -> float:
        """Return the seconds until the last run ends, with the longest first, each to the worker that is free first."""
        busy = [0.0] * self.workers
        for seconds in sorted((self.forecasts.by_id[run.run_id].seconds for run in runs), reverse=True):
            busy[busy.index(min(busy))] += seconds
        return max(busy)

    def check_limit(self) -> None:
        """Raise UserError for a plan beyond its own limits."""
        limit, C, seconds = self.plan.limit, self.flops(self.plan.runs), self._seconds(self.remaining)
        if limit.flops is not None and limit.flops < C:
            raise UserError(
                f"found a plan of {flops(C)} FLOPs; wanted at most sweep.limit.flops={limit.flops:g}; "
                f"take cells out or raise the limit"
            )
        if limit.gpu_hours is not None and seconds is not None and seconds / 3600 > limit.gpu_hours:
            raise UserError(
                f"found a plan of {seconds / 3600:.3g} device hours; wanted at most "
                f"sweep.limit.gpu_hours={limit.gpu_hours:g}; take cells out or raise the limit"
            )


def forecast_plan(plan: Plan, *, card: str | None = None) -> PlanForecast:
    """Find out which runs of a plan are settled, and forecast the others on this machine.

    card: a GPU of scaling/forecast/cards.py to forecast for instead.
    """
    settings: Settings = plan.launcher
    settled = SettledRuns(plan.folder)
    states = states_of(plan, settled)
    runs = without_lost_trunks(plan.runs, plan.folder, settled)
    devices_named = {run.config.train.device for run in plan.runs}
    capacity = launcher_of(settings).capacity(devices_named, len(plan.runs))
    status = {run.run_id: "pending" if run.state == State.MISSING else run.state.value for run in states}
    done = [] if capacity.speed_name else trained_here(plan.runs, states)
    kind, at_work = (worker_kind(settings, capacity), capacity.workers) if card is None else ("cuda", 1)
    forecasts_of = partial(_forecasts, threads=settings.threads, partition=capacity.speed_name, card=card)
    settled_ids = {run_id for run_id, state in status.items() if state in SETTLED}
    shared = shares_of_the_rest(runs, settled_ids, kind=kind, workers=at_work)
    forecasts = forecasts_of(runs, shared, done=done)
    work = relative_work(runs, stack_shares=shared) if len(forecasts) < len(runs) else {}
    workers = _workers(runs, forecasts, capacity, settings.threads) if card is None else at_work
    return PlanForecast(
        plan=plan,
        settled=settled,
        status=status,
        forecasts=Forecasts(forecasts, work, shared),
        workers=min(workers, max(1, len(plan.runs))),
        lacking=tuple(run for run in plan.runs if _lacks_milestones(run, settled)),
        changed=tuple(run for run in plan.runs if _model_changed(run, settled)),
        older=_settled_by_older_recipe(plan, settled),
        stale=stale_of(plan.runs, settled),
        trained={run.run_id: run for run in runs},
        stacked_gain=gain_of_stacking(runs, forecasts_of, kind=kind, workers=at_work),
    )


def _forecasts(
    runs: Sequence[PlannedRun],
    stack_shares: Mapping[str, StackShare],
    *,
    threads: int,
    partition: str | None,
    card: str | None,
    done: Sequence[tuple[PlannedRun, float]] = (),
) -> dict[str, Forecast]:
    """Forecast runs by run_id as `forecast_all` does or, for a card, by the table of cards."""
    if card is None:
        return forecast_all(runs, threads=threads, done=done, partition=partition, stack_shares=stack_shares)
    from scaling.forecast.cards import speed_of_card

    speed = speed_of_card(card)
    return {run.run_id: forecast(run, speed, stack_share=stack_shares.get(run.run_id, ALONE)) for run in runs}


def _workers(runs: Sequence[PlannedRun], forecasts: Mapping[str, Forecast], capacity: Capacity, threads: int) -> int:
    """Return the number of workers; on GPUs that they can share, the best one."""
    if not capacity.gpus:
        return capacity.workers
    known = [(run.C_spent, forecasts[run.run_id]) for run in runs if run.run_id in forecasts]
    return capacity.gpus * workers_per_gpu(
        threads,
        work=[(C, forecast.seconds) for C, forecast in known],
        memory=[forecast.memory_bytes for _, forecast in known],
        stacked=any(stack_key(run.config, run.quantities) for run in runs),
    )


def _lacks_milestones(run: PlannedRun, settled: SettledRuns) -> bool:
    milestones = run.quantities.milestones
    found = settled.get(run.run_id) if len(milestones) > 1 else None  # the end alone is in every record
    return found is not None and found.lacks(milestones)


def _settled_by_older_recipe(plan: Plan, settled: SettledRuns) -> tuple[PlannedRun, ...]:
    """Return the unsettled runs that are settled by an older recipe."""
    if not (plan.results / "runs").is_dir():
        return ()

    def is_older(run: PlannedRun) -> bool:
        older = (run.id_by_recipe(version) for version in range(1, run.config.recipe_version))
        return settled.get(run.run_id) is None and any(exists(plan.folder.run(found).record) for found in older)

    return tuple(run for run in plan.runs if is_older(run))


def _model_changed(run: PlannedRun, settled: SettledRuns) -> bool:
    found, counts = settled.get(run.run_id), run.quantities.counts.columns()
    now = ({name: count for name, count in counts.items() if count}, run.quantities.C)
    return found is not None and (found.counts, found.C) != now
