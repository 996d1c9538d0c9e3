"""How long the rest of a sweep will take: by the steps and FLOPs that are left, or by forecasts that are put right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from math import inf
from statistics import median

from scaling.dispatch.states.state import RunState, State

BEGUN = 0.02  # of a run: from there on its own pace counts
TELLING = 0.1  # of a run that is under way: from there on it tells of others
FEWEST = 3  # runs on which two ways of guessing are compared

Guess = Callable[[RunState], float | None]  # seconds of a whole run, None where it cannot be told


def eta(runs: Sequence[RunState]) -> float | None:
    """Return the seconds until the last run ends; None where nothing runs, or nothing is known to go by.

    Runs that one worker trains together share its time, as the seconds in their records do.
    """
    running = [run for run in runs if run.state is State.RUNNING]
    open_runs = running + [run for run in runs if run.state is State.PENDING]
    if not open_runs or not running:
        return 0.0 if not open_runs else None
    together = Counter(map(_lane, running))
    runs, open_runs = ([_with_own_seconds(run, together) for run in each] for each in (runs, open_runs))
    guess = _best(runs)
    left, longest = [], 0.0
    for run in open_runs:
        if run.share > BEGUN and run.seconds:
            left.append(run.seconds * (1 / run.share - 1))
        elif (whole := guess(run)) is None:
            return None
        else:
            left.append(max(0.0, whole - (run.seconds or 0.0)))
        longest = max(longest, left[-1] * together.get(_lane(run), 1))
    return round(max(sum(left) / len(together), longest), 1)


def _lane(run: RunState) -> tuple[str, ...]:
    """Return what tells the worker of a running run from others; the run itself where it is not known."""
    return (run.host, run.job, run.worker) if run.worker else (run.run_id,)


def _with_own_seconds(run: RunState, together: Counter[tuple[str, ...]]) -> RunState:
    """Return a running run with its share of the seconds since its claim."""
    if run.state is not State.RUNNING or not run.seconds:
        return run
    return replace(run, seconds=run.seconds / together[_lane(run)])


def _best(runs: Sequence[RunState]) -> Guess:
    """Return the way of guessing that is nearest to what runs took; where few are done, forecasts come first."""
    done = [run for run in runs if run.state is State.FINISHED and run.seconds]
    ways = [way for way in (_by_forecast(done), by_work(runs)) if way is not None]
    took = [(run, each) for run in runs if (each := _whole(run)) is not None]
    if len(ways) > 1 and len(took) >= FEWEST:
        ways.sort(key=lambda way: _error(way, took))
    mean = sum(run.seconds or 0.0 for run in done) / len(done) if done else None

    def guess(run: RunState) -> float | None:
        return next((found for way in ways if (found := way(run)) is not None), mean)

    return guess


def _whole(run: RunState) -> float | None:
    """Return the seconds of a run that is done, or of one under way at its own pace."""
    told = run.state is State.FINISHED or (run.state is State.RUNNING and run.share >= TELLING)
    return run.seconds / run.share if told and run.seconds else None


def _error(way: Guess, took: Sequence[tuple[RunState, float]]) -> float:
    """Return the median relative error of a way of guessing; infinite where it cannot tell of half of them."""
    return median(inf if (found := way(run)) is None else abs(found / each - 1) for run, each in took)


def _by_forecast(done: Sequence[RunState]) -> Guess:
    """Return forecasts times what runs have taken over theirs."""
    known = [run for run in done if run.forecast_seconds]
    forecast = sum(run.forecast_seconds or 0.0 for run in known)
    factor = sum(run.seconds or 0.0 for run in known) / forecast if forecast else 1.0
    return lambda run: factor * run.forecast_seconds if run.forecast_seconds else None


def by_work(runs: Sequence[RunState]) -> Guess | None:
    """Return seconds = a x steps + b x C, fitted to what is done by relative least squares, a and b not negative."""
    told = [found for run in runs if (found := _told(run)) is not None]
    if not told:
        return None
    x, y = ([row[i] / row[2] for row in told] for i in (0, 1))
    xx, xy, yy = (sum(p * q for p, q in zip(*pair, strict=True)) for pair in ((x, x), (x, y), (y, y)))
    a, b = _non_negative(xx, xy, yy, sum(x), sum(y))
    return lambda run: a * run.steps + b * run.C if run.steps and run.C else None


def _told(run: RunState) -> tuple[float, float, float] | None:
    """Return the steps and FLOPs that a run has done, and the seconds that they took."""
    if not (run.seconds and run.steps and run.C):
        return None
    if run.state is State.FINISHED:
        return run.steps, run.C, run.seconds
    if run.state is State.RUNNING and run.share >= TELLING:
        return run.share * run.steps, run.share * run.C, run.seconds
    return None


def _non_negative(xx: float, xy: float, yy: float, x: float, y: float) -> tuple[float, float]:
    """Minimise the sum of (a x + b y - 1)^2 over a, b >= 0, from the sums of products."""
    determinant = xx * yy - xy * xy
    if determinant > 1e-9 * xx * yy:
        a, b = (x * yy - y * xy) / determinant, (y * xx - x * xy) / determinant
        if a >= 0 and b >= 0:
            return a, b
    return (x / xx, 0.0) if x * x / xx >= y * y / yy else (0.0, y / yy)
