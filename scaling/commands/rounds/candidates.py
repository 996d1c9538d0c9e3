"""Candidates for the next runs of a sweep: its own axes extended, planned and priced."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from hydra.core.config_loader import ConfigLoader

from scaling.compose.roots import key_of
from scaling.dispatch.states.settled import SettledRuns
from scaling.errors import UserError
from scaling.folders import SweepFolder
from scaling.forecast.estimate import Forecast
from scaling.plan.expand import expand
from scaling.plan.files import read_arguments
from scaling.plan.plan import Plan
from scaling.plan.planned import PlannedRun

UP = 4.0  # factor by which an axis is extended above its largest value without --bounds
DOWN = 2.0  # the factor below its smallest
SEEDS = 2  # seeds of one setting that are offered at once
MOST = 3_000  # candidates at the most: planning more takes longer than choosing among them helps
SEED = "seed"
Forecaster = Callable[[Iterable[PlannedRun]], Mapping[str, Forecast]]
PLACE = ("sweep", "name", "results", "launcher")  # keys of a command line that do not affect runs


@dataclass(frozen=True)
class Price:
    """FLOPs and, where known, seconds."""

    flops: float
    seconds: float | None

    def __add__(self, other: Price) -> Price:
        unknown = self.seconds is None or other.seconds is None
        return Price(self.flops + other.flops, None if unknown else (self.seconds or 0.0) + (other.seconds or 0.0))

    def in_unit(self, unit: str) -> float | None:
        """Return the price in FLOPs or device hours, None if no speed is known."""
        if unit == "flops":
            return self.flops
        return None if self.seconds is None else self.seconds / 3600


@dataclass(frozen=True)
class Candidate:
    """A possible run and its prices.

    alone: if no other candidate is run, with its unsettled parents; shares: the unsettled trunk or parent that it has
    in common with other candidates ('' for none); shared: its price if one of these that leads is run too; leads:
    others can continue from what it trains.
    """

    run: PlannedRun
    alone: Price
    shared: Price
    shares: str = ""
    leads: bool = False

    def row(self, unit: str) -> dict[str, Any]:
        """Return the plan's columns with the costs, in FLOPs or device hours."""
        own = {key: value for key, value in self.run.row().items() if key not in ("trunk", "trunk_step", "C_spent")}
        own["cost"] = self.alone.in_unit(unit)
        return own | {"shares": self.shares, "cost_shared": self.shared.in_unit(unit), "leads": self.leads}


def overrides_of(folder: SweepFolder) -> list[str]:
    """Return the overrides by which a sweep was planned, with its folder's name; UserError if they are not known."""
    arguments = read_arguments(folder)
    if arguments is None:
        raise UserError(
            f"found no command in {folder.sweep}; wanted the folder of a sweep; give --pool FILE, or run it again"
        )
    kept = [word for word in arguments if key_of(word) not in ("name", "results")]
    return [*kept, f"name={folder.name}", f"results={folder.results}"]


def extra_overrides(arguments: Sequence[str]) -> list[str]:
    """Return the overrides of a command line that affect its runs."""
    return [word for word in arguments if key_of(word).partition(".")[0] not in PLACE]


def launcher_overrides(arguments: Sequence[str]) -> list[str]:
    """Return the overrides of a command line that choose the launcher and its keys."""
    return [word for word in arguments if key_of(word).partition(".")[0] == "launcher"]


def candidates(
    loader: ConfigLoader,
    plan: Plan,
    *,
    bounds: Mapping[str, tuple[float, float]],
    forecasts: Forecaster,
    task: str | None,
) -> list[Candidate]:
    """Extend a plan's axes, and plan and price the unsettled runs.

    bounds: least and largest value by key. Raises `UserError` if there are no candidates, or too many.
    """
    axes = axes_of(plan.runs)
    unknown = set(bounds) - set(axes)
    if unknown:
        raise UserError(f"found --bounds of {min(unknown)}; wanted an axis of the sweep ({', '.join(axes)}); change it")
    wider = {key: extended_axis(values, bounds.get(key)) for key, values in axes.items()}
    for key, (low, high) in bounds.items():
        if key == SEED or not has_steps(axes[key]):
            raise UserError(
                f"found --bounds of {key}; wanted an axis of several positive numbers, other than seeds; drop it"
            )
        if not wider[key]:
            raise UserError(
                f"found --bounds {key}={low:g}:{high:g}, between two steps of the axis; wanted room for one; widen them"
            )
    wider[SEED] = with_new_seeds(axes.get(SEED, [plan.runs[0].config.seed]))
    count = math.prod(map(len, wider.values()))
    if count > MOST:
        raise UserError(f"found {count:,} candidates on the extended axes; wanted at most {MOST:,}; give --bounds")
    cells = ",".join(f"{key}:[{','.join(map(_written, values))}]" for key, values in wider.items())
    fixed = [word for word in plan.arguments if key_of(word) not in wider]
    wider_plan = expand(loader, [*fixed, f"sweep.grid=[{{product:{{{cells}}}}}]"])
    settled = SettledRuns(plan.folder)
    return priced(_free(wider_plan.runs, settled, task), wider_plan.runs, settled, forecasts)


def axes_of(runs: Iterable[PlannedRun]) -> dict[str, list[Any]]:
    """Return the varied keys of runs with their values, numbers in ascending order, words in the order of the plan."""
    values: dict[str, list[Any]] = {}
    for run in runs:
        for key, value in run.overrides.items():
            if value not in values.setdefault(key, []):
                values[key].append(value)
    return {key: sorted(found) if _numeric(found) else found for key, found in values.items()}


def with_new_seeds(seeds: Sequence[Any]) -> list[int]:
    """Return seeds, with as many new ones as are offered at once."""
    known = sorted(int(seed) for seed in seeds)
    return [*known, *range(known[-1] + 1, known[-1] + 1 + SEEDS)]


def extended_axis(values: Sequence[Any], bounds: tuple[float, float] | None) -> list[Any]:
    """Return an axis extended by its own steps at both ends, within bounds; words are unchanged.

    New integers are multiples of the greatest common divisor of the others. An axis of whole numbers written as floats
    stays whole from 1, since keys such as train.steps refuse parts.
    """
    if not has_steps(values):
        return list(values)
    low, high = bounds or (values[0] / DOWN, values[-1] * UP)
    up, down = values[-1] / values[-2], values[1] / values[0]
    above = takewhile(lambda value: value < 2 * high, (values[-1] * up**k for k in range(1, 40)))
    below = takewhile(lambda value: value > low / 2, (values[0] / down**k for k in range(1, 40)))
    new = [*above, *below]
    if all(isinstance(value, int) for value in values):
        step = math.gcd(*values)
        new = [max(1, round(value / step)) * step for value in new]
    else:
        whole = all(float(value).is_integer() for value in values)
        new = [float(round(value)) if whole and value >= 1 else float(f"{value:.6g}") for value in new]
    return sorted({value for value in (*values, *new) if low * (1 - 1e-9) <= value <= high * (1 + 1e-9)})


def has_steps(values: Sequence[Any]) -> bool:
    """Return whether an axis can be extended: if it has several positive numbers."""
    return len(values) > 1 and _numeric(values) and values[0] > 0


def _numeric(values: Sequence[Any]) -> bool:
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def _written(value: Any) -> str:
    return "null" if value is None else str(value)


def _free(runs: Sequence[PlannedRun], settled: SettledRuns, task: str | None) -> list[PlannedRun]:
    """Return the runs that are not settled, of the task, at most SEEDS of each setting."""
    tasks = {run.task for run in runs}
    if task is None and len(tasks) > 1:
        raise UserError(f"found runs of several tasks ({', '.join(sorted(tasks))}); wanted one; name it with --task")
    taken: dict[tuple[Any, ...], int] = {}
    free = []
    for run in runs:
        setting = (run.task, *(item for item in run.overrides.items() if item[0] != SEED))
        if (task or run.task) != run.task or settled.get(run.run_id) is not None or taken.get(setting, 0) >= SEEDS:
            continue
        taken[setting] = taken.get(setting, 0) + 1
        free.append(run)
    return free


def priced(
    runs: Sequence[PlannedRun], every: Sequence[PlannedRun], settled: SettledRuns, forecasts: Forecaster
) -> list[Candidate]:
    """Return the prices of runs with their unsettled parents; every: all runs of their plan."""
    from_start = {run.run_id: dataclasses.replace(run, fork=None, forks=()) for run in runs}
    needed = {run.run_id: _missing(run, settled) for run in runs}
    parents = {one.run_id: one for some in needed.values() for one in some}
    alone, branches = _prices({**parents, **from_start}.values(), forecasts), _prices(runs, forecasts)
    reached = _settled_lengths(every, settled)
    found = []
    for run in runs:
        own, branch = alone[run.run_id], branches[run.run_id]
        if needed[run.run_id]:
            whole = sum((alone[one.run_id] for one in needed[run.run_id]), own)
            found.append(Candidate(run, whole, own, needed[run.run_id][0].run_id, leads=True))
            continue
        trunk = run.fork.run_id if run.fork else run.run_id if run.forks else ""
        leads = run.quantities.steps > reached.get(trunk, 0)
        found.append(Candidate(run, own, branch if run.fork else own, trunk, leads=bool(trunk) and leads))
    return found


def _prices(runs: Iterable[PlannedRun], forecasts: Forecaster) -> dict[str, Price]:
    """Return the price of each run without its parents, and without the steps of the run that it forks from."""
    runs = list(runs)
    seconds = {run_id: one.seconds for run_id, one in forecasts(runs).items()}
    return {run.run_id: Price(float(run.C_spent), seconds.get(run.run_id)) for run in runs}


def _settled_lengths(runs: Iterable[PlannedRun], settled: SettledRuns) -> dict[str, int]:
    """Return, by trunk, the steps of the longest settled run, from which shorter ones can no longer fork."""
    found: dict[str, int] = {}
    for run in runs:
        trunk = run.fork.run_id if run.fork else run.run_id if run.forks else ""
        if trunk and settled.get(run.run_id) is not None:
            found[trunk] = max(found.get(trunk, 0), run.quantities.steps)
    return found


def _missing(run: PlannedRun, settled: SettledRuns) -> list[PlannedRun]:
    found, parent = [], run.parent
    while parent is not None:
        if settled.get(parent.run_id) is None:
            found.append(parent)
        parent = parent.parent
    return found
