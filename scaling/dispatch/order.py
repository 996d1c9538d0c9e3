"""An order to a launcher: runs, limits and forecast costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from scaling.dispatch.queue import Entry, LazyQueue, entries
from scaling.dispatch.states.cancelled import cancelled_runs
from scaling.dispatch.states.front import front_runs
from scaling.dispatch.states.index import Index
from scaling.dispatch.states.read_plan import read_plan
from scaling.dispatch.states.settled import SettledRuns
from scaling.dispatch.states.state import Planned
from scaling.dispatch.states.trunks import without_lost_trunks
from scaling.folders import SweepFolder
from scaling.limits import UNLIMITED, Limits

if TYPE_CHECKING:
    from scaling.forecast.estimate import Forecast
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
    if folder.plan.exists():
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
    forecasts: Mapping[str, Forecast] | None = None,
    limits: Limits = UNLIMITED,
    settled: SettledRuns | None = None,
    single: bool = False,
    train: str = TRAIN,
) -> Order:
    """Return an order for planned runs; forecasts: by run_id; settled: if the caller has read them already."""
    folder = SweepFolder(folder.results.resolve(), folder.name)
    settled = settled or SettledRuns(folder)
    since = Index(folder.results).sizes()
    seconds = {run_id: forecast.seconds for run_id, forecast in (forecasts or {}).items()}
    memory = {run_id: float(forecast.memory_bytes) for run_id, forecast in (forecasts or {}).items()}
    made = entries(folder, without_lost_trunks(runs, folder, settled), settled, forecast=seconds)
    if single:  # a run requested by itself has to have the weights that its config keeps
        keeps = {run.run_id: run.kept_steps for run in runs}
        made = [replace(entry, keeps=keeps[entry.run_id]) for entry in made]
    settled.write_index()
    asked = {entry.run_id for entry in made}
    others = _others(folder, asked) if limits else ()
    cancelled = cancelled_runs(folder) & asked if not single else frozenset[str]()
    first = frozenset(front_runs(folder))
    return Order(
        folder, tuple(made), settled, limits, others, cancelled, memory, single, train, since=since, front=first
    )
