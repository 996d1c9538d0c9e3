"""Choose the size of stacks, and find out which runs share a stack."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from math import prod

from scaling.data.base import DataSet
from scaling.data.memory import affordable
from scaling.forecast.division import divide, paid_by
from scaling.forecast.estimate import Forecast, device_kind
from scaling.forecast.speed import known_speed
from scaling.forecast.work import ALONE, StackShare, has_custom_module, member_work, model_work
from scaling.plan.identity import asked_precision, is_stackable, stack_key
from scaling.plan.planned import PlannedRun

# The size of a stack's step, in numbers processed, beyond which more members gain nothing, for devices without a probe.
# On a CPU it is what the caches hold: measured on two cores with 2 MB of second-level cache each, widths 8 to 192,
# batches of 32 and 128. For a GPU it is that of an H100: 512 members of mlp 64 x 2, 64 of mlp 256 x 2, batches of 128.
NUMBERS = {"cpu": 1 << 22, "cuda": 1 << 27}
MOST = {"cpu": 64, "cuda": 512}
SIDE_BY_SIDE = {"cpu": 1, "cuda": 8}  # parallel stacks: the kernels of small models leave most of a GPU idle
FIXED = {"cpu": 1 << 16, "cuda": 1 << 23}  # the fixed cost of a step, in numbers processed
ENOUGH = 0.9  # of a worker's share of the work, with which it takes no further stack
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


def is_stack_by_itself(run: PlannedRun, kind: str) -> bool:
    """Return whether a run that has no others of its shape can be a stack, trained in parallel with other stacks.

    False for a run that fills its device or has train.stack=1, and for a user's module, whose steps are longer in vmap.
    kind: of device, cpu or cuda.
    """
    return not has_custom_module(run) and bool(stack_key(run.config, run.quantities)) and stack_size(run, kind) > 1


def shares_of_the_rest(
    runs: Sequence[PlannedRun], settled: Collection[str], *, kind: str | None = None, workers: int = 1
) -> dict[str, StackShare]:
    """Return what each run shares with others, where the stacks of the unsettled runs have no settled ones.

    Settled runs have the shares that they would have if all runs were trained now.
    """
    rest = [run for run in runs if run.run_id not in settled]
    found = stack_shares(rest, kind=kind, workers=workers)
    if len(rest) == len(runs):
        return found
    earlier = stack_shares(runs, kind=kind, workers=workers, after=len(rest))
    return found | {run_id: share for run_id, share in earlier.items() if run_id in settled}


def stack_shares(
    runs: Iterable[PlannedRun], *, kind: str | None = None, workers: int = 1, after: int = 0
) -> dict[str, StackShare]:
    """Return what each run shares with others, by run_id; runs that share nothing are left out.

    kind: of the device, cpu or cuda, by default this machine's; workers: the number that divide the runs among
    themselves; after: the highest number that other stacks may have as `beside`, 0 if there are no others; if there
    are, a stack that is trained by itself has a number too.
    """
    runs, found = list(runs), dict[str, StackShare]()
    kinds = {kind or device_kind(run.config) for run in runs}
    used = "cuda" if "cuda" in kinds else "cpu"
    lengths = {run.run_id: _length(run, used) for run in runs}
    runs.sort(key=lambda run: lengths[run.run_id], reverse=True)  # about the order of the queue
    drawn = _Drawn(runs, kind=used, workers=workers)
    stacks = divide(
        runs,
        key=lambda run: stack_key(run.config, run.quantities) or run.run_id,
        work=lambda run: lengths[run.run_id],
        workers=workers,
        most=lambda run: stack_size(run, kind or device_kind(run.config)),
    )
    parallel = _side_by_side(stacks, used, work=lengths, workers=workers)
    for number, together in enumerate(parallel, 1 + after):
        found |= _shares_together(together, drawn, number if len(together) > 1 or after > 0 else 0)
    return {run_id: share for run_id, share in found.items() if share != ALONE}


def _shares_together(stacks: Sequence[Sequence[PlannedRun]], drawn: _Drawn, number: int) -> dict[str, StackShare]:
    """Return what the runs of stacks that are trained in parallel share; number: see `StackShare.beside`."""
    paid_by_all = paid_by(_steps(chain.from_iterable(stacks)))
    longest, found = [max(_steps(stack).values()) for stack in stacks], dict[str, StackShare]()
    for stack in stacks:
        steps, parts = _steps(stack), drawn.parts(stack)
        paid, alone = paid_by(steps), len(stacks) == len(stack) == 1
        for run_id in steps:
            found[run_id] = StackShare(
                members=steps[run_id] / paid[run_id],
                drawn=parts.get(run_id, 1.0),
                stacks=sum(longest) / max(longest),
                runs=steps[run_id] / paid_by_all[run_id],
                beside=0 if alone else number,
            )
    return found


def _steps(runs: Iterable[PlannedRun]) -> dict[str, int]:
    return {run.run_id: run.quantities.steps for run in runs}


def _side_by_side(
    stacks: Iterable[list[PlannedRun]], kind: str, *, work: Mapping[str, float], workers: int
) -> Iterator[list[list[PlannedRun]]]:
    """Yield the stacks that are trained in parallel; a run that cannot be a stack is yielded by itself.

    They have the same device and precision, and together at most about a worker's share of the work. They begin
    together, and the next ones when the longest has ended. kind: of device; work: of each run, by run_id.
    """
    if SIDE_BY_SIDE[kind] == 1:
        yield from ([stack] for stack in stacks)
        return
    beside, size = defaultdict[Hashable, list[list[PlannedRun]]](list), defaultdict[Hashable, float](float)
    enough = ENOUGH * sum(work.values()) / workers
    for stack in stacks:
        if len(stack) == 1 and not is_stack_by_itself(stack[0], kind):
            yield [stack]
            continue
        alike = stack[0].config.train.device, asked_precision(stack[0].config)
        beside[alike].append(stack)
        size[alike] += sum(work[run.run_id] for run in stack)
        if len(beside[alike]) == SIDE_BY_SIDE[kind] or size[alike] >= enough:
            size.pop(alike)
            yield beside.pop(alike)
    yield from beside.values()


def _length(run: PlannedRun, kind: str) -> float:
    """Return about how long a run takes in a stack, in numbers processed; of a run that forks, its own steps alone."""
    step = model_work(run.config.model, run.input_shape, run.config.data.outputs, run.quantities.batch)
    return (run.quantities.steps - (run.fork.step if run.fork else 0)) * (FIXED[kind] + step.numbers)


class _Drawn:
    """The numbers of fresh examples that each worker of a sweep has drawn so far.

    A worker keeps the examples for later runs that read the same ones, unless its memory cannot hold those of all runs.
    """

    def __init__(self, runs: Sequence[PlannedRun], *, kind: str, workers: int) -> None:
        orders = _of_one_order(runs)
        numbers = (
            max(run.quantities.D for run in alike) * (prod(order[0].shape) + 2) for order, alike in orders.items()
        )
        self._kept = 4 * sum(numbers) <= affordable(kind, workers=workers) / 2
        self._drawn = {order: deque([0] * workers) for order in orders}  # of the worker that is next, then of others

    def parts(self, stack: Sequence[PlannedRun]) -> dict[str, float]:
        """Return which part of each run's examples its worker draws for it; members share those that they all read."""
        found = dict[str, float]()
        for order, alike in _of_one_order(stack).items():
            drawn = self._drawn[order].popleft() if self._kept else 0
            paid = paid_by({run.run_id: max(0, run.quantities.D - drawn) for run in alike})
            found |= {run.run_id: paid[run.run_id] / run.quantities.D for run in alike}
            self._drawn[order].append(max(drawn, *(run.quantities.D for run in alike)))
        return found


def _of_one_order(runs: Iterable[PlannedRun]) -> dict[tuple[DataSet, int], list[PlannedRun]]:
    """Group runs on fresh examples by data and seed: those of a group read the same examples."""
    orders: dict[tuple[DataSet, int], list[PlannedRun]] = {}
    for run in runs:
        if run.quantities.fresh:
            orders.setdefault((replace(run.config.data, size=None), run.config.seed), []).append(run)
    return orders


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
    train = replace(run.config.train, engine="stacked")
    return replace(run, config=replace(run.config, train=train))
