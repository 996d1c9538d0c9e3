"""Estimate the time left of a sweep: what its runs are expected to take, corrected by what they took so far.

Seconds are those of a worker, which runs that it trains together divide among themselves. What is left of a stack
depends on how many members share its steps from now on.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from heapq import heapify, heapreplace
from itertools import chain

from scaling.dispatch.states.pace import Pace, pace_of, shape_of, steps_of
from scaling.dispatch.states.state import RunState, State
from scaling.forecast.division import divide, paid_by

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
    corrected = Corrected.by(known, _expected(runs, workers=workers))
    free = [*map(corrected.busy, teams), *[0.0] * (workers - len(teams))]
    heapify(free)
    for stack in _stacks(pending, workers=workers, running=running):  # each to the worker that is free first
        heapreplace(free, free[0] + corrected.left(stack))
    return round(max(free), 1)


def _teams(runs: Sequence[RunState]) -> list[list[RunState]]:
    """Return the running runs of each worker, with their own shares of its seconds until their last report.

    Their members are those that really have shared these seconds, on average.
    """
    found: dict[tuple[str, ...], list[RunState]] = {}
    for run in runs:
        if run.state is State.RUNNING:
            worker = (run.host, run.job, run.worker) if run.worker else (run.run_id,)
            found.setdefault(worker, []).append(run)
    return [[_with_own_seconds(run, len(team)) for run in team] for team in found.values()]


def _with_own_seconds(run: RunState, members: int) -> RunState:
    own = (run.seconds or 0.0) / members if run.seconds_at_step is None else run.seconds_at_step
    if not run.seconds or not own:
        return replace(run, seconds=None, members=1.0)
    return replace(run, seconds=own, members=max(1.0, (run.seconds - run.silent) / own))


def _stacks(runs: Iterable[RunState], *, workers: int, running: Iterable[RunState] = ()) -> Iterator[list[RunState]]:
    """Return what workers take at a time, in the order of the queue: a stack of runs of one shape, or one run."""
    return divide(
        sorted(runs, key=lambda run: (_work(run), run.C), reverse=True),
        key=_at_once,
        work=_work,
        workers=workers,
        other_work=sum(map(_work, running)),
    )


def _shape(run: RunState) -> Hashable:
    """Return what runs of one stack have in common."""
    return shape_of(run) if run.stacked and run.steps else run.run_id


def _at_once(run: RunState) -> Hashable:
    """Return what runs that a worker trains at once have in common: one stack, or several in parallel."""
    return f"beside {run.beside}" if run.beside else _shape(run)


def _work(run: RunState) -> float:
    """Return the work of a run relative to others, as workers see it (see dispatch/queue.py)."""
    return run.work or run.forecast_seconds or 1.0


def _steps_left(run: RunState) -> int:
    done = run.began if run.step is None else run.step
    return max(0, steps_of(run) - done) if run.steps else 1


@dataclass(frozen=True)
class Expected:
    """Expected paces by shape, in any unit of seconds; the steps that whole runs pay for; the seconds of all runs."""

    paces: Mapping[Hashable, Pace]
    paid: Mapping[str, float]
    total: float

    def done(self, run: RunState) -> float:
        """Return the expected seconds of what a run did in its `seconds`."""
        pace = self.paces[_shape(run)]
        if run.state is State.FINISHED:
            return pace.share(steps_of(run), paid=self.paid[run.run_id])
        steps = (run.step or 0) - run.began
        return pace.share(steps, paid=steps / run.members)

    def left(self, runs: Iterable[RunState]) -> float:
        """Return the expected seconds of what is left of runs that one worker trains together."""
        runs = list(runs)
        steps = {run.run_id: _steps_left(run) for run in runs}
        paid = paid_by(steps)
        return sum(self.paces[_shape(run)].share(steps[run.run_id], paid=paid[run.run_id]) for run in runs)

    def ratio(self, runs: Iterable[RunState], *, before: float) -> float:
        """Return the ratio of the seconds that runs took so far to the expected ones; before: the ratio without them.

        It counts as if a small part of all work had been done at that ratio, since the first seconds of runs mislead.
        """
        done = list(filter(_is_guide, runs))
        took, wanted = sum(run.seconds or 0.0 for run in done), sum(map(self.done, done))
        return (before * self.prior + took) / (self.prior + wanted)

    @property
    def prior(self) -> float:
        """The part of the expected seconds of all runs that counts as done before."""
        return PRIOR * self.total


def _expected(runs: Sequence[RunState], *, workers: int) -> Expected:
    """Return what runs are expected to take in the stacks in which workers take them."""
    seconds = {run.run_id: _work(run) for run in runs}
    shapes, paid = dict[Hashable, list[RunState]](), dict[str, float]()
    for stack in _stacks(runs, workers=workers):
        for run in stack:
            shapes.setdefault(_shape(run), []).append(run)
        paid |= paid_by({run.run_id: steps_of(run) for run in stack})
    return Expected({shape: pace_of(alike, seconds) for shape, alike in shapes.items()}, paid, sum(seconds.values()))


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

    def left(self, stack: Sequence[RunState]) -> float:
        """Return the seconds of what is left of a stack, or of several in parallel."""
        return self._ratio(stack) * self.expected.left(stack)

    def busy(self, team: Sequence[RunState]) -> float:
        """Return the seconds until a worker is free, which has gone on since the last report of its runs."""
        left = self.expected.ratio(team, before=self._ratio(team)) * self.expected.left(team)
        return max(0.0, left - min(run.silent if run.step is None else min(SILENT, run.silent) for run in team))

    def _ratio(self, runs: Sequence[RunState]) -> float:
        """Return the mean ratio of runs that are trained at once."""
        return sum(self.by_shape[shape_of(run)] for run in runs) / len(runs)


def _is_guide(run: RunState) -> bool:
    """Return whether a run has done something, so that its seconds say something about others."""
    return bool(run.seconds) and (run.state is State.FINISHED or (run.state is State.RUNNING and run.share_since > 0))
