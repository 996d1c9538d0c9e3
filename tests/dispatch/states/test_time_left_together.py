"""The time left of a sweep whose runs are trained together, foretold in mid-course from what was recorded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import chain, product

import pytest

from scaling.dispatch.states.state import RunState, State
from scaling.dispatch.states.time_left import eta

MEMBER, FLOP = 3.7e-5, 2e-11  # seconds of a member's step, of a FLOP: see docs/speed.md
ONCE = {"own products": 5.8e-4, "vmap": 2e-3}  # seconds of a stack's step
WIDTHS, BUDGETS, SEEDS, BATCH = (8, 12, 16, 24, 32, 48, 64, 96, 128, 192), (2e8, 5e8, 1e9, 2e9, 5e9, 1e10), 3, 32


@dataclass
class Run:
    """A run as it was trained: by whom, and from when and which step at which pace among how many."""

    width: int
    steps: int
    C: float
    once: float
    worker: str = ""
    pieces: list[tuple[float, int, float, int]] = field(default_factory=list)
    seconds: float = 0.0  # its share
    paid: float = 0.0  # of its steps
    end: float = 0.0
    forecast: float | None = None
    relative: float | None = None
    members: float = 1.0

    @property
    def work(self) -> float:
        """As workers see it."""
        return self.relative or self.forecast or self.C

    @property
    def step_seconds(self) -> float:
        """What a step costs beyond what its stack shares."""
        return MEMBER + FLOP * self.C / self.steps


def sweep(once: float) -> list[Run]:
    """Runs of an isoFLOP sweep; once: seconds of a stack's step."""
    found = []
    for width, budget, _ in product(WIDTHS, BUDGETS, range(SEEDS)):
        each = 6 * BATCH * (26 * width + 2 * width**2)
        if 300 <= budget // each <= 24_000:
            found.append(Run(width, int(budget // each), budget // each * each, once))
    return found


def with_forecasts(runs: list[Run], workers: int) -> list[Run]:
    """Forecasts of about these stacks by a probe of a machine that was half as fast."""
    train(runs, workers=workers)
    return [replace(new(run), forecast=2 * run.seconds) for run in runs]


def with_work(runs: list[Run], workers: int) -> list[Run]:
    """The work of runs on a usual device, on which short runs take longer beside long ones than here."""
    train(runs, workers=workers)
    return [replace(new(run), relative=run.seconds**0.9) for run in runs]


def new(run: Run) -> Run:
    """Return a trained run as it is forecast: with the members that it had, and as yet untrained."""
    return Run(run.width, run.steps, run.C, run.once, members=run.steps / run.paid)


def train(runs: list[Run], *, workers: int) -> float:
    """Let workers take stacks, no more than their part of the work that is left; return when all has ended."""
    free, waiting = [0.0] * workers, sorted(runs, key=lambda run: -run.work)
    while waiting:
        worker = free.index(min(free))
        left = sum(run.work for run in runs if not run.pieces or run.end > free[worker])
        team, size = [], 0.0
        for run in waiting:
            if run.width == waiting[0].width and (not team or left / workers > size + run.work / 2):
                team.append(run)
                size += run.work
        waiting = [run for run in waiting if not any(run is other for other in team)]
        free[worker] = together(team, f"worker {worker}", free[worker])
    return max(free)


def of_one_stack(members: list[Run]) -> float:
    """Return the seconds of a step of a stack."""
    return members[0].once + len(members) * members[0].step_seconds


def together(team: list[Run], worker: str, at: float, pace_of: Callable[[list[Run]], float] = of_one_stack) -> float:
    """Train runs at once from a time on; return when the last one has ended. pace_of: seconds of a step of all."""
    done, ordered = 0, sorted(team, key=lambda run: run.steps)
    for gone, ending in enumerate(ordered):
        members = ordered[gone:]
        pace = pace_of(members)
        for run in members:
            run.worker = worker
            run.pieces.append((at, done, pace, len(members)))
            run.seconds += (ending.steps - done) * pace / len(members)
            run.paid += (ending.steps - done) / len(members)
        at, done = at + (ending.steps - done) * pace, ending.steps
        ending.end = at
    return at


def recorded(run: Run, name: str, now: float) -> RunState:
    """Return what is known of a run at a moment."""
    facts = {"steps": run.steps, "C": run.C, "stacked": True, "forecast_seconds": run.forecast}
    facts |= {"work": run.relative, "members": run.members}
    if run.end <= now:
        return RunState(name, "", State.FINISHED, seconds=run.seconds, **facts)
    begun = [piece for piece in run.pieces if piece[0] <= now]
    if not begun:
        return RunState(name, "", State.PENDING, **facts)
    at, done, pace, _ = begun[-1]
    ends = [*(piece[0] for piece in begun[1:]), now]
    own = sum((end - piece[0]) / piece[3] for piece, end in zip(begun, ends, strict=True))
    facts |= {"step": done + int((now - at) / pace), "worker": run.worker, "seconds_at_step": own}
    return RunState(name, "", State.RUNNING, seconds=now - begun[0][0], **facts)


@pytest.mark.parametrize("once", ONCE.values(), ids=ONCE.keys())
@pytest.mark.parametrize("expected", [with_forecasts, with_work])
@pytest.mark.parametrize("workers", [1, 2, 4, 8])
def test_from_a_quarter_on_it_is_within_a_quarter_of_the_truth(workers, expected, once):
    """A step costs less as members leave, even where its FLOPs are few, and no less where it hardly depends on them."""
    runs = expected(sweep(once), workers)
    end = train(runs, workers=workers)
    for share in (0.25, 0.5, 0.75, 0.9):
        now = share * end
        states = [recorded(run, str(n), now) for n, run in enumerate(runs)]
        assert eta(states, workers=workers) == pytest.approx(end - now, rel=0.25, abs=0.1), share


@pytest.mark.parametrize("once", ONCE.values(), ids=ONCE.keys())
@pytest.mark.parametrize("workers", [1, 4])
def test_runs_of_before_are_no_members_of_the_stacks_of_an_extended_sweep(workers, once):
    """The first seeds were trained by themselves, but are forecast as if with all; their stacks have numbers."""
    every, (before, now) = sweep(once), (sweep(once)[::3], [run for n, run in enumerate(sweep(once)) if n % 3])
    train(every, workers=workers)
    train(before, workers=workers)
    runs = with_forecasts(now, workers)
    end = train(runs, workers=workers)
    pairs = zip(before, every[::3], strict=True)
    known = [replace(run, forecast=2 * other.seconds, members=other.steps / other.paid) for run, other in pairs]
    settled = [replace(recorded(run, f"settled {n}", run.end), beside=run.width) for n, run in enumerate(known)]
    for share in (0.1, 0.25, 0.5, 0.75, 0.9):
        states = [*settled, *(recorded(run, str(n), share * end) for n, run in enumerate(runs))]
        assert eta(states, workers=workers) == pytest.approx((1 - share) * end, rel=0.1), share


ALONE, BESIDE, AT_ONCE = 1.5e-4, 0.2, 4  # seconds of a round of one stack, the part that each other adds, and how many


def in_parallel(runs: list[Run]) -> float:
    """Train stacks on a GPU, some at once, the longest first; return when all has ended."""
    stacks: dict[int, list[Run]] = {}
    for run in sorted(runs, key=lambda run: -run.steps):
        stacks.setdefault(run.width, []).append(run)
    at, waiting = 0.0, list(stacks.values())
    while waiting:
        beside, waiting = waiting[:AT_ONCE], waiting[AT_ONCE:]
        at = together(list(chain.from_iterable(beside)), "worker", at, of_parallel_stacks)
    return at


def of_parallel_stacks(members: list[Run]) -> float:
    """Return the seconds of a round, in which each stack takes a step."""
    return ALONE * (1 + BESIDE * (len({run.width for run in members}) - 1))


@pytest.mark.parametrize("slower", [1.0, 2.0])
def test_of_stacks_in_parallel_it_is_within_a_tenth_of_the_truth(slower):
    """With forecasts of a GPU that was as fast, or half as fast."""
    whole = sweep(0.0)
    in_parallel(whole)
    runs = [replace(new(run), forecast=slower * run.seconds) for run in whole]
    end, numbers = in_parallel(runs), dict[float, int]()
    for run in runs:
        first = min(other.pieces[0][0] for other in runs if other.width == run.width)
        numbers[run.width] = round(first * 1e6) + 1
    for share in (0.1, 0.25, 0.5, 0.75, 0.9):
        now = share * end
        states = [replace(recorded(run, str(n), now), beside=numbers[run.width]) for n, run in enumerate(runs)]
        assert eta(states, workers=1) == pytest.approx(end - now, rel=0.1), share
