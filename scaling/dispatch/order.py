"""An order to a launcher: the entries of its queue, limits and forecast costs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from scaling.dispatch.queue import Entry, LazyQueue
from scaling.dispatch.states.attempts import read_attempts
from scaling.dispatch.states.cancelled import cancelled_runs
from scaling.dispatch.states.front import front_runs
from scaling.dispatch.states.index import Index
from scaling.dispatch.states.read_plan import read_plan
from scaling.dispatch.states.settled import SettledRuns, begun_runs
from scaling.dispatch.states.state import Planned
from scaling.dispatch.states.trunks import without_lost_trunks
from scaling.folders import SweepFolder, exists
from scaling.limits import UNLIMITED, Limits

if TYPE_CHECKING:
    from scaling.forecast.estimate import Forecasts
    from scaling.plan.planned import PlannedRun

TRAIN = "scaling.train.run:train_run"


@dataclass(frozen=True)
class Order:
    """Runs to be settled, in the order in which workers take them.

    folder: with an absolute path, for jobs that start elsewhere; settled: cache of settled runs;
    others: other runs of the sweep, now or earlier, which count against the limits;
    cancelled: runs that were cancelled by name, and are left out;
    memory: forecast bytes by run_id; single: train one run in this process, if the launcher can;
    train: module:function that settles one run; mirror: a tool that shows the runs during training;
    on_end: a command for when all have ended;
    since: sizes of the index files when this was made; front: runs that come before all others.
    """

    folder: SweepFolder
    entries: tuple[Entry, ...]
    settled: SettledRuns
    limits: Limits = UNLIMITED
    others: tuple[Entry | Planned, ...] = ()
    cancelled: frozenset[str] = frozenset()
    memory: Mapping[str, float] = field(default_factory=dict)
    single: bool = False
    train: str = TRAIN
    mirror: str = ""
    on_end: str = ""
    since: Mapping[str, int] | None = None
    front: frozenset[str] = frozenset()

    @property
    def open_entries(self) -> list[Entry]:
        """The runs that are not settled, or lack weights that others start from."""
        return [entry for entry in self.entries if not self.settled.done(entry.run_id, entry.keeps)]

    @property
    def device(self) -> str:
        """The first device named by a run other than cpu; cpu if there is none."""
        named = (entry.device for entry in self.entries)
        return next((device for device in named if device != "cpu"), "cpu")


def _others(folder: SweepFolder, asked: set[str]) -> tuple[Entry | Planned, ...]:
    """Return the other runs that count against the limits: those of the plan, and those queued by earlier plans."""
    found: dict[str, Entry | Planned] = {}
    if exists(folder.plan):
        found = {run.run_id: run for run in read_plan(folder) if run.run_id not in asked}
    for path in sorted(folder.jobs.glob("*/queue.jsonl")):
        queue = LazyQueue(path)
        for run_id in queue.run_ids:
            if run_id not in asked and run_id not in found and (entry := queue.get(run_id)) is not None:
                found[run_id] = entry
    return tuple(found.values())


def order_of(
    folder: SweepFolder,
    runs: Sequence[PlannedRun],
    *,
    forecasts: Forecasts | None = None,
    limits: Limits = UNLIMITED,
    settled: SettledRuns | None = None,
    single: bool = False,
) -> Order:
    """Return an order for planned runs; settled: if the caller has read them already."""
    from scaling.forecast.estimate import Forecasts  # a reader of queues does without these imports

    folder = SweepFolder(folder.results.resolve(), folder.name)
    settled, forecasts = settled or SettledRuns(folder), forecasts or Forecasts()
    since = Index(folder.results).sizes()
    made = entries(folder, without_lost_trunks(runs, folder, settled), settled, forecasts)
    if single:  # a run requested by itself has to have the weights that its config keeps
        keeps = {run.run_id: run.kept_steps for run in runs}
        made = [replace(entry, keeps=keeps[entry.run_id]) for entry in made]
    settled.write_index()
    asked = {entry.run_id for entry in made}
    return Order(
        folder,
        tuple(made),
        settled,
        limits=limits,
        others=_others(folder, asked) if limits else (),
        cancelled=cancelled_runs(folder) & asked if not single else frozenset(),
        memory={run_id: float(forecast.memory_bytes) for run_id, forecast in forecasts.by_id.items()},
        single=single,
        since=since,
        front=frozenset(front_runs(folder)),
    )


def entries(folder: SweepFolder, runs: Sequence[PlannedRun], settled: SettledRuns, forecasts: Forecasts) -> list[Entry]:
    """Return the queue of `runs`: parents first, then the longest (by forecast, otherwise by FLOPs).

    Runs that have killed a worker, or may have, go last.
    """
    from scaling.plan.identity import stack_key

    seconds = {run_id: forecast.seconds for run_id, forecast in forecasts.by_id.items()}
    keeps = _keeps(runs, settled)
    done = {run.run_id for run in runs if settled.done(run.run_id, keeps.get(run.run_id, ()))}
    tried = _attempts(folder, [run.run_id for run in runs if run.run_id not in done])
    made = [
        Entry(
            run_id=run.run_id,
            C=run.C_spent,
            forecast_seconds=seconds.get(run.run_id),
            work=forecasts.work.get(run.run_id),
            members=forecasts.share(run.run_id).runs,
            beside=forecasts.share(run.run_id).beside,
            tried=len(tried.get(run.run_id, ())),
            needs=run.needs,
            step=run.config.parent.step if run.config.parent else None,
            keeps=tuple(sorted(keeps.get(run.run_id, ()))),
            stack_key=stack_key(run.config, run.quantities),
            steps=None if run.parent is not None else run.quantities.steps - (run.fork.step if run.fork else 0),
            run=_shown(run) if run.run_id in done else run.to_dict(),
        )
        for run in runs
    ]
    return _in_order(made, last=_killers(folder, tried))


def _attempts(folder: SweepFolder, run_ids: Iterable[str]) -> dict[str, list[dict[str, Any]]]:
    """Return the attempts of those runs that were begun; without runs out of reach, which the workers report."""
    begun, found = begun_runs(folder), dict[str, list[dict[str, Any]]]()
    for run_id in run_ids:
        if run_id in begun:
            with suppress(OSError):
                found[run_id] = read_attempts(folder.run(run_id))
    return found


def _in_order(made: Sequence[Entry], *, last: set[str]) -> list[Entry]:
    """Return entries as they are queued; last: run ids that come after others of their depth."""
    depth = _depths(made)

    def place(entry: Entry) -> tuple[Any, ...]:
        run_id = entry.run_id
        return depth[run_id], run_id in last, -(entry.length or 0.0), -entry.C, run_id

    return sorted(made, key=place)


def _killers(folder: SweepFolder, tried: Mapping[str, Sequence[Mapping[str, Any]]]) -> set[str]:
    """Return the runs during which a worker was killed, or may have died: their claims are still there."""
    killed = {run_id for run_id, past in tried.items() if any(attempt.get("cause") == "killed" for attempt in past)}
    return killed | {run_id for run_id in tried if exists(folder.run(run_id).claim)}


def _shown(run: PlannedRun) -> dict[str, Any]:
    """Return only what is shown of a settled run: writing a hundred thousand whole runs takes seconds."""
    return {"overrides": dict(run.overrides), "config": {"train": {"device": run.config.train.device}}}


def _keeps(runs: Sequence[PlannedRun], settled: SettledRuns) -> dict[str, set[int]]:
    """Return the steps at which runs must have kept weights: those from which unsettled runs start."""
    found: dict[str, set[int]] = {}
    for run in reversed(runs):  # in a plan, parents come first
        parent = run.config.parent
        if parent is None or parent.step is None or settled.done(run.run_id, found.get(run.run_id, ())):
            continue
        found.setdefault(parent.run_id, set()).add(parent.step)
    return found


def _depths(made: Iterable[Entry]) -> dict[str, int]:
    """Return how many runs have to be settled, one after the other, before each run."""
    needs = {entry.run_id: entry.after for entry in made}
    found: dict[str, int] = {}

    def depth(run_id: str) -> int:
        if run_id not in found:
            found[run_id] = 0  # ends the recursion in a cycle
            found[run_id] = max((depth(need) + 1 for need in needs.get(run_id, ())), default=0)
        return found[run_id]

    return {run_id: depth(run_id) for run_id in needs}
