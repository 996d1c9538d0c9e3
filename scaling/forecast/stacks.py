"""Choose the size of stacks, and find out which runs share a stack."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from math import prod
from typing import Any

from scaling.data.memory import affordable
from scaling.forecast.estimate import Forecast, device_kind
from scaling.forecast.speed import known_speed
from scaling.forecast.work import StackShare, member_work
from scaling.plan.identity import is_stackable, stack_key
from scaling.plan.planned import PlannedRun

# The size of a stack's step, in numbers processed, beyond which more members gain nothing, for devices without a probe.
# On a CPU it is what the caches hold: measured on two cores with 2 MB of second-level cache each, widths 8 to 192,
# batches of 32 and 128. For a GPU it is that of an H100: 512 members of mlp 64 x 2, 64 of mlp 256 x 2, batches of 128.
NUMBERS = {"cpu": 1 << 22, "cuda": 1 << 27}
MOST = {"cpu": 64, "cuda": 512}
SIDE_BY_SIDE = {"cpu": 1, "cuda": 4}  # parallel stacks: the kernels of small models leave most of a GPU idle
LOOKED_AT = 2_000  # runs of a plan that are used to estimate the gain of stacking
Forecasting = Callable[[Sequence[PlannedRun], Mapping[str, StackShare]], Mapping[str, Forecast]]


def stack_size(run: PlannedRun, kind: str) -> int:
    """Return the most runs of this shape that are trained together; kind: of device, cpu or cuda."""
    config = run.config
    if config.train.stack is not None:
        return config.train.stack
    kind = kind if kind in NUMBERS else "cpu"  # an unknown device is refused when the run starts
    speed = known_speed(kind, 1)
    enough = speed.numbers if speed is not None and speed.numbers else NUMBERS[kind]
    return max(1, min(MOST[kind], enough // member_work(run, batch=config.train.batch).numbers))


def stack_shares(runs: Iterable[PlannedRun], *, kind: str | None = None, workers: int = 1) -> dict[str, StackShare]:
    """Return for each run that shares its steps or its fresh examples with others how many runs share them.

    kind: of the device, cpu or cuda, by default this machine's; workers: that divide the runs among themselves.
    """
    runs = list(runs)
    groups: dict[str, list[PlannedRun]] = {}
    for run in runs:
        key = stack_key(run.config, run.quantities)
        if key:
            groups.setdefault(key, []).append(run)
    members, readers = dict[str, float](), _readers_in_memory(runs, workers=workers)
    for group in groups.values():
        most = stack_size(group[0], kind or device_kind(group[0].config))
        members |= _shared_by(group, partial(min, most))
        for alike in _of_one_order(group):
            at_once = max(1.0, len(alike) * most / len(group))
            together = _shared_by(alike, partial(min, at_once))
            readers |= {run_id: max(readers.get(run_id, 1.0), each) for run_id, each in together.items()}
    return {
        run_id: StackShare(members.get(run_id, 1.0), readers.get(run_id, 1.0))
        for run_id in (*members, *(readers.keys() - members.keys()))
    }


def _readers_in_memory(runs: Sequence[PlannedRun], *, workers: int) -> dict[str, float]:
    """Return for each run on fresh examples how many runs of its worker read them, which draws them once.

    Nothing is shared if the worker's memory cannot hold them.
    """
    orders, found = list(_of_one_order(runs)), dict[str, float]()
    examples = sum(max(run.quantities.D for run in alike) * (prod(alike[0].config.data.shape) + 2) for alike in orders)
    if 4 * examples <= affordable() / 2:
        for alike in orders:
            found |= _shared_by(alike, lambda left: max(1.0, left / workers))
    return found


def _shared_by(group: Sequence[PlannedRun], sharing: Callable[[int], float]) -> dict[str, float]:
    """Return for each run the harmonic mean over its examples of the number of runs that share them.

    sharing: returns this number if so many runs of the group are left.
    """
    found, before, paid = dict[str, float](), 0, 0.0
    for gone, run in enumerate(sorted(group, key=lambda run: run.quantities.D)):
        paid += (run.quantities.D - before) / sharing(len(group) - gone)
        before = run.quantities.D
        found[run.run_id] = run.quantities.D / paid
    return found


def _of_one_order(group: Sequence[PlannedRun]) -> Iterable[list[PlannedRun]]:
    """Group runs on fresh examples by data and seed: those of a group read the same examples, drawn once."""
    orders: dict[Any, list[PlannedRun]] = {}
    for run in group:
        if run.quantities.fresh:
            orders.setdefault((dataclasses.replace(run.config.data, size=None), run.config.seed), []).append(run)
    return orders.values()


def gain_of_stacking(
    runs: Sequence[PlannedRun], forecasts: Forecasting, *, kind: str | None = None, workers: int = 1
) -> float | None:
    """Return the factor by which engine=stacked would reduce the device's time for runs of engine=eager.

    forecasts: returns the forecasts of runs in given stacks, by run_id; kind: of the device, by default this
    machine's; workers: see `stack_shares`. None if none of the runs can be stacked, or no speed is known.
    """
    runs = [run for run in runs[:LOOKED_AT] if run.fork is None]
    able = [run.config.train.engine == "eager" and is_stackable(run.config) for run in runs]
    if not any(able):
        return None
    alone = forecasts(runs, stack_shares(runs, kind=kind, workers=workers))
    if len(alone) < len(runs):
        return None
    others = [_stacked(run) if can else run for run, can in zip(runs, able, strict=True)]
    together = forecasts(others, stack_shares(others, kind=kind, workers=workers))
    seconds = [sum(each.seconds for each in found.values()) for found in (alone, together)]
    return seconds[0] / seconds[1]


def _stacked(run: PlannedRun) -> PlannedRun:
    train = dataclasses.replace(run.config.train, engine="stacked")
    return dataclasses.replace(run, config=dataclasses.replace(run.config, train=train))
