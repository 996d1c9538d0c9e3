"""Estimate the time left of a sweep from the remaining steps and FLOPs, or from corrected forecasts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from heapq import heapify, heapreplace
from math import ceil, inf, prod
from statistics import median

from scaling.dispatch.states.state import RunState, State

MEMBER = 0.04  # cost that each member adds to a step beside its FLOPs, in units of a step's fixed cost
SILENT = 60.0  # most seconds since the last report of a run by which its pace is extrapolated
BEGUN = 0.02  # fraction of a run from which its own pace is used
USABLE = 0.1  # fraction of a running run from which it is used for others
SCATTER = 0.15  # prior relative scatter of the seconds of equal runs
OFF, WIDE_OFF = 1.0, 2.0  # prior relative error of the ratio of step and FLOP costs, with and without forecasts
STEP_SECONDS = 4e-4  # fixed cost of a step: measured for small models on CPUs and GPUs, within a factor of 4
FLOP_SECONDS = 5e-11  # largest cost of a FLOP: one core of a slow processor
LEAST_OF_STEP = 0.2  # least fraction of a step's seconds that is assigned to its FLOPs
FEWEST = 3  # runs needed to compare two ways of guessing

Guess = Callable[[RunState], float | None]  # seconds of a whole run, None if unknown
Lane = tuple[str, ...]


def eta(runs: Sequence[RunState]) -> float | None:
    """Return the seconds until the last run ends; None if nothing runs, or nothing is known.

    Runs that one worker trains together share its time, like the seconds in their records. What is known of a run is
    some seconds old, in which its worker has gone on.
    """
    ages = {run.run_id: _age(run) for run in runs}
    runs = [run if run.seconds_at_step is None else replace(run, seconds=run.seconds_at_step) for run in runs]
    running = [run for run in runs if run.state is State.RUNNING]
    pending = [run for run in runs if run.state is State.PENDING]
    if not running:
        return None if pending else 0.0
    lanes: dict[Lane, list[RunState]] = {}
    for run in running:
        lanes.setdefault(_lane(run), []).append(run)
    shared = _shared(runs, workers=len(lanes)) if any(len(members) > 1 for members in lanes.values()) else {}
    runs = [_with_own_seconds(run, lanes) for run in runs]
    work = by_work(runs, shared)
    guess = _best(runs, work)
    left = [_of_lane(members, work, guess) for members in lanes.values()]
    pieces = _pieces(pending, guess, running if shared else None)
    if pieces is None or None in left:
        return None
    since = [min(ages[run.run_id] for run in members) for members in lanes.values()]
    free = [max(0.0, (seconds or 0.0) - age) for seconds, age in zip(left, since, strict=True)]
    heapify(free)
    for seconds in pieces:  # each to the worker that is free first
        heapreplace(free, free[0] + seconds)
    return round(max(free), 1)


def _age(run: RunState) -> float:
    """Return the seconds since the last report of a run's step, by which its pace is extrapolated."""
    return 0.0 if run.seconds_at_step is None else min(SILENT, max(0.0, (run.seconds or 0.0) - run.seconds_at_step))


def _pieces(pending: Sequence[RunState], guess: Guess, beside: Sequence[RunState] | None) -> list[float] | None:
    """Return the seconds of the pieces of work that workers take at a time: a run, or a stack of runs of one shape.

    The longest come first, as in the queue (see dispatch/queue.py). beside: running runs, None if each run is trained
    alone; a stack is at most a worker's share of all that is left. None if some run's seconds are unknown.
    """
    queued = sorted(pending, key=lambda run: run.forecast_seconds or run.C, reverse=True)
    found = [(run, seconds * (1 - run.found)) for run in queued if (seconds := guess(run)) is not None]
    if len(found) < len(pending):
        return None
    if beside is None:
        return [seconds for _, seconds in found]
    left = sum(run.C * (1 - max(run.found, run.share)) for run in (*pending, *beside))
    part = left / len({_lane(run) for run in beside}) or 1.0
    shapes: dict[float, list[tuple[float, float]]] = {}
    for run, seconds in found:
        shapes.setdefault(run.C / run.steps if run.steps else 0.0, []).append((run.C * (1 - run.found) / part, seconds))
    pieces = []
    for runs in shapes.values():
        parts, seconds = (sum(values) for values in zip(*runs, strict=True))
        pieces += [seconds / parts * min(1.0, parts - n) for n in range(ceil(parts))] if parts else [seconds]
    return sorted(pieces, reverse=True)


def _of_lane(members: Sequence[RunState], work: Work | None, guess: Guess) -> float | None:
    """Return the seconds that a worker still needs for the runs that it trains together, or for its one run."""
    if all(run.since > BEGUN and run.seconds for run in members):
        return _at_own_pace(members, work)
    left = 0.0
    for run in members:
        whole = guess(run)
        if whole is None:
            return None
        left += max(0.0, whole * (1 - run.found) - (run.seconds or 0.0) / len(members))
    return left


def _at_own_pace(members: Sequence[RunState], work: Work | None) -> float:
    """Return the seconds left at the present pace, or the mean if it is faster; steps get cheaper as members end."""
    begun = min((run.step or 0) - run.began for run in members)
    mean = max(run.seconds or 0.0 for run in members) / begun
    pace = min([mean, *(run.step_seconds for run in members if run.step_seconds and len(members) > 1)])
    now, left, before = len(members), 0.0, 0
    for gone, steps in enumerate(sorted((run.steps or 0) - (run.step or 0) for run in members)):
        left += (steps - before) * _relative(members[0], now - gone, now, work)
        before = steps
    return pace * left


def _relative(run: RunState, members: int, before: int, work: Work | None) -> float:
    """Return the cost of a step of `members` runs like this one, relative to a step of `before` runs."""
    if work is None or not run.steps:
        return 1.0
    each = MEMBER * work.step + work.flop * run.C / run.steps
    return (work.step + members * each) / (work.step + before * each)


def _shared(runs: Sequence[RunState], *, workers: int) -> dict[str, float]:
    """Return each run's share of steps that are taken together, plus what it adds to them, in steps, by run_id.

    Runs with equal FLOPs a step are assumed to have the same shape and to start together; if they are more than a
    worker's share of all work, they are divided between several workers.
    """
    shapes: dict[float, list[RunState]] = {}
    for run in runs:
        if run.steps and run.C:
            shapes.setdefault(run.C / run.steps, []).append(run)
    part, found = sum(run.C for run in runs) / workers, dict[str, float]()
    for alike in shapes.values():
        teams = max(1.0, sum(run.C for run in alike) / part)
        before, paid = 0, 0.0
        for gone, run in enumerate(sorted(alike, key=lambda run: run.steps or 0)):
            steps = run.steps or 0
            paid += (steps - before) * (1 / max(1.0, (len(alike) - gone) / teams) + MEMBER)
            before, found[run.run_id] = steps, paid
    return found


def _lane(run: RunState) -> Lane:
    """Return the identity of a running run's worker, or the run itself if it is unknown."""
    return (run.host, run.job, run.worker) if run.worker else (run.run_id,)


def _with_own_seconds(run: RunState, lanes: Mapping[Lane, Sequence[RunState]]) -> RunState:
    """Return a running run with its share of the seconds since its claim."""
    if run.state is not State.RUNNING or not run.seconds:
        return run
    return replace(run, seconds=run.seconds / len(lanes[_lane(run)]))


def _best(runs: Sequence[RunState], work: Work | None) -> Guess:
    """Return the way of guessing that fits the finished runs best; with few of them, forecasts come first."""
    done = [run for run in runs if run.state is State.FINISHED and run.seconds]
    took = [(run, each) for run in runs if (each := _whole(run)) is not None]
    ways: list[Guess] = [_by_forecast(took), *([] if work is None else [work])]
    if len(ways) > 1 and len(took) >= FEWEST:
        ways.sort(key=lambda way: _error(way, took))
    mean = sum(run.seconds or 0.0 for run in done) / len(done) if done else None

    def guess(run: RunState) -> float | None:
        return next((found for way in ways if (found := way(run)) is not None), mean)

    return guess


def _whole(run: RunState) -> float | None:
    """Return the seconds of a whole run, finished or extrapolated from its own pace; None if it is too early."""
    enough = run.state is State.FINISHED or (run.state is State.RUNNING and run.since >= USABLE)
    return run.seconds / run.since if enough and run.seconds else None


def _error(way: Guess, took: Sequence[tuple[RunState, float]]) -> float:
    """Return the median relative error of a way of guessing; infinite if it cannot guess half of the runs."""
    return median(inf if (found := way(run)) is None else abs(found / each - 1) for run, each in took)


def _by_forecast(took: Sequence[tuple[RunState, float]]) -> Guess:
    """Return a guess by forecasts, scaled by the observed ratio; took: runs and the seconds of each whole run."""
    known = [(run.forecast_seconds, seconds) for run, seconds in took if run.forecast_seconds]
    factor = sum(seconds for _, seconds in known) / sum(forecast for forecast, _ in known) if known else 1.0
    return lambda run: factor * run.forecast_seconds if run.forecast_seconds else None


@dataclass(frozen=True)
class Work:
    """A guess by seconds for each step and each FLOP; shared: a run's share of steps that are taken together."""

    step: float
    flop: float
    shared: Mapping[str, float]

    def __call__(self, run: RunState) -> float | None:
        """Return the seconds of a whole run, None if its steps or FLOPs are unknown."""
        if not (run.steps and run.C):
            return None
        return self.step * self.shared.get(run.run_id, run.steps) + self.flop * run.C


def by_work(runs: Sequence[RunState], shared: Mapping[str, float] | None = None) -> Work | None:
    """Fit non-negative costs of steps and FLOPs to the work done, by least squares of relative errors.

    Runs are weighted by the square root of their seconds, because relative errors alone say little about the sum. Runs
    of similar size do not determine the ratio of both costs, so a prior keeps it near that of the forecasts, or without
    them near the usual cost of a step. shared: see `Work`; if runs are trained together, only finished runs are used,
    if there are some.
    """
    shared = shared or {}
    ended = [run for run in runs if run.state is State.FINISHED] if shared else []
    rows = [found for run in ended or runs if (found := _work_done(run, shared)) is not None]
    if not rows:
        return None
    step, flop, off = _usual(runs, shared, rows)
    weights = [seconds**0.5 for *_, seconds in rows]
    weights = [weight * len(rows) / sum(weights) for weight in weights]
    x, y = ([usual * row[i] / row[2] for row in rows] for i, usual in ((0, step), (1, flop)))
    xx, xy, yy = (_sum(weights, p, q) for p, q in ((x, x), (x, y), (y, y)))
    sums = _sum(weights, x), _sum(weights, y)
    a, b = _non_negative(xx, xy, yy, *sums)
    missed = _sum(weights, *[[a * p + b * q - 1 for p, q in zip(x, y, strict=True)]] * 2)
    pull = (SCATTER**2 + missed) / len(rows) * (sum(sums) / len(rows) / off) ** 2
    a, b = _non_negative(xx + pull, xy - pull, yy + pull, *sums)
    return Work(a * step, b * flop, shared)


def _usual(
    runs: Sequence[RunState], shared: Mapping[str, float], done: Sequence[tuple[float, float, float]]
) -> tuple[float, float, float]:
    """Return prior costs of a step and of a FLOP, and the relative error of their ratio.

    done: steps, FLOPs and seconds of the work done.
    """
    known = [(shared.get(run.run_id, run.steps), run.C, run.forecast_seconds) for run in runs if run.steps and run.C]
    rates = [(steps / seconds, C / seconds) for steps, C, seconds in known if seconds]
    if rates and len(rates) == len(known):
        x, y = zip(*rates, strict=True)
        step, flop = _non_negative(_sum(x, x), _sum(x, y), _sum(y, y), sum(x), sum(y))
        if step > 0 and flop > 0:
            return step, flop, OFF
    steps, C, seconds = (sum(values) for values in zip(*done, strict=True))
    flop = min(FLOP_SECONDS, max(seconds - STEP_SECONDS * steps, LEAST_OF_STEP * seconds) / C)
    return (seconds - flop * C) / steps, flop, WIDE_OFF


def _sum(*factors: Sequence[float]) -> float:
    return sum(prod(each) for each in zip(*factors, strict=True))


def _work_done(run: RunState, shared: Mapping[str, float]) -> tuple[float, float, float] | None:
    """Return the steps and FLOPs that a run has done, and their seconds; None if unknown or too few."""
    if not (run.seconds and run.steps and run.C):
        return None
    steps = shared.get(run.run_id, run.steps)
    if run.state is State.FINISHED:
        return steps, run.C, run.seconds
    if run.state is State.RUNNING and run.since >= USABLE:
        return run.since * steps, run.since * run.C, run.seconds
    return None


def _non_negative(xx: float, xy: float, yy: float, x: float, y: float) -> tuple[float, float]:
    """Minimise the sum of (a x + b y - 1)^2 over a, b >= 0, from the sums of products."""
    determinant = xx * yy - xy * xy
    if determinant > 1e-9 * xx * yy:
        a, b = (x * yy - y * xy) / determinant, (y * xx - x * xy) / determinant
        if a >= 0 and b >= 0:
            return a, b
    return (x / xx, 0.0) if x * x / xx >= y * y / yy else (0.0, y / yy)
