"""Runs that a sweep could make next: its own axes carried on, planned and priced."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.config_loader import ConfigLoader

from scaling.dispatch.states.settled import SettledRuns
from scaling.errors import UserError
from scaling.folders import SweepFolder
from scaling.forecast.estimate import forecast_all
from scaling.plan.expand import expand
from scaling.plan.files import read_arguments
from scaling.plan.plan import Plan
from scaling.plan.planned import PlannedRun

UP, DOWN = 4.0, 2.0
"""Factors beyond the largest and below the smallest value of an axis up to which it is carried on unasked."""
SEEDS = 2
"""Seeds of one setting that are offered at once."""
MOST = 3_000
"""Candidates at the most: planning more takes longer than choosing among them helps."""
SEED = "seed"
PLACE = ("sweep", "name", "results", "launcher")  # of a command line: what does not make a run


@dataclass(frozen=True)
class Candidate:
    """A run that could be made, and what it costs with the parents that it needs: FLOPs and, where known, seconds."""

    run: PlannedRun
    flops: float
    seconds: float | None

    def row(self, unit: str) -> dict[str, Any]:
        """Return the plan's columns with the cost, in FLOPs or device hours."""
        hours = None if self.seconds is None else self.seconds / 3600
        return {**self.run.row(), "cost": self.flops if unit == "flops" else hours}


def command_of(folder: SweepFolder) -> list[str]:
    """Return the overrides by which a sweep was planned, its folder's name included; UserError where none are kept."""
    arguments = read_arguments(folder)
    if arguments is None:
        raise UserError(
            f"found no command in {folder.sweep}; wanted the folder of a sweep; give --pool FILE, or run it again"
        )
    kept = [word for word in arguments if word.partition("=")[0] not in ("name", "results")]
    return [*kept, f"name={folder.name}", f"results={folder.results}"]


def extra_overrides(arguments: Sequence[str]) -> list[str]:
    """Return the overrides of a command line that say something of its runs."""
    return [word for word in arguments if word.lstrip("+~").partition("=")[0].partition(".")[0] not in PLACE]


def launcher_overrides(arguments: Sequence[str]) -> list[str]:
    """Return the overrides of a command line that say where runs are trained."""
    return [word for word in arguments if word.lstrip("+~").partition("=")[0].partition(".")[0] == "launcher"]


def candidates(
    loader: ConfigLoader, made: Plan, *, bounds: Mapping[str, tuple[float, float]], threads: int, task: str | None
) -> list[Candidate]:
    """Carry a plan's axes on, plan the runs and price them; those that are settled are left out.

    bounds: least and largest value by key. Raises `UserError` where there are none, or too many.
    """
    axes = axes_of(made.runs)
    unknown = set(bounds) - set(axes)
    if unknown:
        raise UserError(f"found --bounds of {min(unknown)}; wanted an axis of the sweep ({', '.join(axes)}); change it")
    wider = {key: carried_on(values, bounds.get(key)) for key, values in axes.items()}
    wider[SEED] = with_new_seeds(axes.get(SEED, [made.runs[0].config.seed]))
    count = math.prod(map(len, wider.values()))
    if count > MOST:
        raise UserError(f"found {count:,} candidates on the axes carried on; wanted at most {MOST:,}; give --bounds")
    cells = ",".join(f"{key}:[{','.join(map(_written, values))}]" for key, values in wider.items())
    fixed = [word for word in made.arguments if word.lstrip("+~").partition("=")[0] not in wider]
    plan = expand(loader, [*fixed, f"sweep.grid=[{{product:{{{cells}}}}}]"])
    free = _free(plan.runs, SettledRuns(made.folder), task)
    return _priced(free, SettledRuns(made.folder), threads)


def axes_of(runs: Iterable[PlannedRun]) -> dict[str, list[Any]]:
    """Return the keys that runs were given with their values, smallest first; as written where they are words."""
    values: dict[str, list[Any]] = {}
    for run in runs:
        for key, value in run.overrides.items():
            if value not in values.setdefault(key, []):
                values[key].append(value)
    return {key: sorted(found) if _numeric(found) else found for key, found in values.items()}


def with_new_seeds(seeds: Sequence[Any]) -> list[int]:
    """Return seeds with as many new ones as a setting is offered at once."""
    known = sorted(int(seed) for seed in seeds)
    return [*known, *range(known[-1] + 1, known[-1] + 1 + SEEDS)]


def carried_on(values: Sequence[Any], bounds: tuple[float, float] | None) -> list[Any]:
    """Return an axis with its own steps at both ends carried on, within bounds; words stay as they are.

    Whole numbers stay whole multiples of what the others are multiples of.
    """
    if len(values) < 2 or not _numeric(values) or values[0] <= 0:
        return list(values)
    low, high = bounds or (values[0] / DOWN, values[-1] * UP)
    up, down = values[-1] / values[-2], values[1] / values[0]
    found = [value for value in values if low <= value <= high]
    found += [values[-1] * up**k for k in range(1, 40) if values[-1] < values[-1] * up**k <= high * (1 + 1e-9)]
    found += [values[0] / down**k for k in range(1, 40) if low * (1 - 1e-9) <= values[0] / down**k < values[0]]
    if all(isinstance(value, int) for value in values):
        step = math.gcd(*values)
        found = [max(1, round(value / step)) * step for value in found]
    else:
        found = [float(f"{value:.6g}") for value in found]
    return sorted(set(found))


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


def _priced(runs: Sequence[PlannedRun], settled: SettledRuns, threads: int) -> list[Candidate]:
    """Price runs with those parents that are not settled yet."""
    needed = {run.run_id: [run, *_missing(run, settled)] for run in runs}
    forecasts = forecast_all({one.run_id: one for some in needed.values() for one in some}.values(), threads=threads)
    found = []
    for run in runs:
        every = needed[run.run_id]
        known = [forecasts[one.run_id].seconds for one in every if one.run_id in forecasts]
        flops = float(sum(one.quantities.C for one in every))
        found.append(Candidate(run, flops, sum(known) if len(known) == len(every) else None))
    return found


def _missing(run: PlannedRun, settled: SettledRuns) -> list[PlannedRun]:
    found, parent = [], run.parent
    while parent is not None:
        if settled.get(parent.run_id) is None:
            found.append(parent)
        parent = parent.parent
    return found
