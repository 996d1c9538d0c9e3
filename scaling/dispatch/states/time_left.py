"""Estimate the time left of a sweep: what its runs are expected to take, corrected by what they took so far.

Seconds are those of a worker, which runs that it trains together divide among themselves. So the runs of a stack, too,
are counted one by one, and a worker is free when the seconds of all its runs are over.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from heapq import heapify, heapreplace
from itertools import chain

from scaling.dispatch.states.curve import Curve, curve_of, shape_of
from scaling.dispatch.states.state import RunState, State
from scaling.forecast.division import divide

PRIOR = 0.02  # part of all work that counts as done in the expected seconds
SILENT = 60.0  # most seconds since the last report of a run in which it is assumed to have gone on


def eta(runs: Sequence[RunState], *, workers: int = 0) -> float | None:
    """Return the seconds until the last run ends; None if nothing runs, or nothing is known.

    workers: that are at work, since some may be between two runs.
    """
    teams = _teams(runs)
    pending = [run for run in runs if run.state is State.PENDING]
    if not teams:
        return None if pending else 0.0
    workers = max(workers, len(teams))
    running = list(chain.from_iterable(teams))
    known = [*running, *(run for run in runs if run.state is not State.RUNNING)]
    if not all(run.forecast_seconds for run in (*running, *pending)) and not any(map(_is_guide, known)):
        return None
    corrected = Corrected.by(known, _expected(known, workers=workers))
    free = [*map(corrected.busy, teams), *[0.0] * (workers - len(teams))]
    heapify(free)
    for stack in _stacks(pending, workers=workers, beside=running):  # each to the worker that is free first
        heapreplace(free, free[0] + sum(map(corrected.left, stack)))
    return round(max(free), 1)


def _teams(runs: Sequence[RunState]) -> list[list[RunState]]:
    """Return the running runs of each worker, with their own shares of its seconds until their last report."""
    found: dict[tuple[str, ...], list[RunState]] = {}
    for run in runs:
        if run.state is State.RUNNING:
            worker = (run.host, run.job, run.worker) if run.worker else (run.run_id,)
            found.setdefault(worker, []).append(run)
    return [[_with_own_seconds(run, len(team)) for run in team] for team in found.values()]


def _with_own_seconds(run: RunState, members: int) -> RunState:
    shared = None if run.seconds is None else run.seconds / members
    return replace(run, seconds=shared if run.seconds_at_step is None else run.seconds_at_step)


def _stacks(runs: Iterable[RunState], *, workers: int, beside: Iterable[RunState] = ()) -> Iterator[list[RunState]]:
    """Return what workers take at a time, in the order of the queue: a stack of runs of one shape, or one run."""
    return divide(
        sorted(runs, key=lambda run: (_work(run), run.C), reverse=True),
        key=lambda run: shape_of(run) if run.stacked else run.run_id,
        work=_work,
        workers=workers,
        beside=sum(map(_work, beside)),
    )


def _work(run: RunState) -> float:
    """Return the work of a run relative to others, as workers see it (see dispatch/queue.py)."""
    return run.work or run.forecast_seconds or 1.0


@dataclass(frozen=True)
class Expected:
    """Expected seconds of whole runs, in any unit, and their growth with the steps, by run_id."""

    seconds: Mapping[str, float]
    curves: Mapping[str, Curve]

    def done(self, run: RunState) -> float:
        """Return the expected seconds of what a run did in its `seconds`."""
        share = 1.0 if run.state is State.FINISHED else self._share(run, run.step) - self._share(run, run.began)
        return share * self.seconds[run.run_id]

    def left(self, run: RunState) -> float:
        """Return the expected seconds of what is left of a run."""
        return self.seconds[run.run_id] * (1 - self._share(run, run.began if run.step is None else run.step))

    def _share(self, run: RunState, step: int | None) -> float:
        """Return the share of a run's seconds in which it gets to a step."""
        if not step or not run.steps:
            return 0.0
        curve = self.curves[run.run_id]
        return curve(min(step, run.steps)) / curve(run.steps)

    def ratio(self, runs: Iterable[RunState], *, before: float) -> float:
        """Return the ratio of the seconds that runs took so far to the expected ones; before: the ratio without them.

        It counts as if a small part of all work had been done at that ratio, since the first seconds of runs mislead.
        """
        done = list(filter(_is_guide, runs))
        took, wanted = sum(run.seconds or 0.0 for run in done), sum(map(self.done, done))
        return (before * self.prior + took) / (self.prior + wanted)

    @cached_property
    def prior(self) -> float:
        """The part of the expected seconds of all runs that counts as done before."""
        return PRIOR * sum(self.seconds.values())


def _expected(runs: Sequence[RunState], *, workers: int) -> Expected:
    """Return what runs are expected to take in the stacks in which workers take them."""
    seconds, curves = {run.run_id: _work(run) for run in runs}, dict[str, Curve]()
    for stack in _stacks((run for run in runs if run.steps), workers=workers):
        curves |= dict.fromkeys((run.run_id for run in stack), curve_of(stack, seconds))
    return Expected(seconds, curves)


@dataclass(frozen=True)
class Corrected:
    """Expected seconds, times the ratio to them of those that runs took: by shape, and of all runs."""

    expected: Expected
    by_shape: Mapping[float, float]

    @classmethod
    def by(cls, runs: Sequence[RunState], expected: Expected) -> Corrected:
        """Correct expected seconds by what these runs took so far."""
        shapes: dict[float, list[RunState]] = {}
        for run in runs:
            shapes.setdefault(shape_of(run), []).append(run)
        of_all = expected.ratio(runs, before=1.0)
        return cls(expected, {shape: expected.ratio(alike, before=of_all) for shape, alike in shapes.items()})

    def left(self, run: RunState) -> float:
        """Return the seconds of what is left of a run."""
        return self.by_shape[shape_of(run)] * self.expected.left(run)

    def busy(self, team: Sequence[RunState]) -> float:
        """Return the seconds until a worker is free, which has gone on since the last report of its runs."""
        left = self.expected.ratio(team, before=self.by_shape[shape_of(team[0])]) * sum(map(self.expected.left, team))
        return max(0.0, left - min(run.silent if run.step is None else min(SILENT, run.silent) for run in team))


def _is_guide(run: RunState) -> bool:
    """Return whether a run has done something, so that its seconds say something about others."""
    return bool(run.seconds) and (run.state is State.FINISHED or (run.state is State.RUNNING and run.since > 0))
