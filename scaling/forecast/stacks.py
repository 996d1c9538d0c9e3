"""Choose the size of stacks, and find out which runs share a stack."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

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


def stack_shares(runs: Iterable[PlannedRun], *, kind: str | None = None) -> dict[str, StackShare]:
    """Return for each run in a stack how many runs share its steps, and its fresh examples.

    kind: of the device, cpu or cuda, by default this machine's.
    """
    groups: dict[str, list[PlannedRun]] = {}
    for run in runs:
        key = stack_key(run.config, run.quantities)
        if key:
            groups.setdefault(key, []).append(run)
    found: dict[str, StackShare] = {}
    for group in groups.values():
        most = stack_size(group[0], kind or device_kind(group[0].config))
        members = _shared_by(group, most)
        readers: dict[str, float] = {}
        for alike in _of_one_order(group):
            readers |= _shared_by(alike, max(1.0, len(alike) * most / len(group)))
        found |= {run_id: StackShare(shared, readers.get(run_id, 1.0)) for run_id, shared in members.items()}
    return found


def _shared_by(group: Sequence[PlannedRun], most: float) -> dict[str, float]:
    """Return for each run the harmonic mean of the number of runs that share its steps, at most `most`."""
    found, before, paid = dict[str, float](), 0, 0.0
    for gone, run in enumerate(sorted(group, key=lambda run: run.quantities.steps)):
        steps = run.quantities.steps
        paid += (steps - before) / min(most, len(group) - gone)
        before, found[run.run_id] = steps, steps / paid
    return found


def _of_one_order(group: Sequence[PlannedRun]) -> Iterable[list[PlannedRun]]:
    """Group runs on fresh examples by data and seed: those of a group read the same examples, drawn once."""
    orders: dict[Any, list[PlannedRun]] = {}
    for run in group:
        if run.quantities.fresh:
            orders.setdefault((dataclasses.replace(run.config.data, size=None), run.config.seed), []).append(run)
    return orders.values()


def gain_of_stacking(runs: Sequence[PlannedRun], forecasts: Forecasting, *, kind: str | None = None) -> float | None:
    """Return the factor by which engine=stacked would reduce the device's time for runs of engine=eager.

    forecasts: returns the forecasts of runs in given stacks, by run_id; kind: of the device, by default this
    machine's. None if none of the runs can be stacked, or no speed is known.
    """
    runs = [run for run in runs[:LOOKED_AT] if run.fork is None]
    able = [run.config.train.engine == "eager" and is_stackable(run.config) for run in runs]
    if not any(able):
        return None
    alone = forecasts(runs, {})
    if len(alone) < len(runs):
        return None
    others = [_stacked(run) if can else run for run, can in zip(runs, able, strict=True)]
    together = forecasts(others, stack_shares(others, kind=kind))
    seconds = [sum(each.seconds for each in found.values()) for found in (alone, together)]
    return seconds[0] / seconds[1]


def _stacked(run: PlannedRun) -> PlannedRun:
    train = dataclasses.replace(run.config.train, engine="stacked")
    return dataclasses.replace(run, config=dataclasses.replace(run.config, train=train))
