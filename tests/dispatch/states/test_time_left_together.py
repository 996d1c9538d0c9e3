"""The time left of a sweep whose runs are trained together, foretold in mid-course from what was recorded."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import product

import pytest

from scaling.dispatch.states.state import RunState, State
from scaling.dispatch.states.time_left import eta

STEP, MEMBER, FLOP = 5.8e-4, 3.7e-5, 2e-11  # seconds of a stack's step, a member's, a FLOP: see docs/speed.md
WIDTHS, BUDGETS, SEEDS, BATCH = (8, 12, 16, 24, 32, 48, 64, 96, 128, 192), (2e8, 5e8, 1e9, 2e9, 5e9, 1e10), 3, 32


@dataclass
class Run:
    """A run as it was trained: by whom, from when, and when it had done how many steps, from there on at which pace."""

    width: int
    steps: int
    C: float
    worker: str = ""
    pieces: list[tuple[float, int, float]] = field(default_factory=list)
    seconds: float = 0.0  # its share
    end: float = 0.0

    @property
    def step_seconds(self) -> float:
        """What a step costs beyond what its stack shares."""
        return MEMBER + FLOP * self.C / self.steps


def sweep() -> list[Run]:
    """Runs of an isoFLOP sweep, longest first."""
    found = []
    for width, budget, _ in product(WIDTHS, BUDGETS, range(SEEDS)):
        each = 6 * BATCH * (26 * width + 2 * width**2)
        if 300 <= budget // each <= 24_000:
            found.append(Run(width, int(budget // each), budget // each * each))
    return sorted(found, key=lambda run: -run.C)


def train(runs: list[Run], *, workers: int) -> float:
    """Let workers take stacks, no more than their part of the FLOPs that are left; return when all has ended."""
    free, waiting = [0.0] * workers, list(runs)
    while waiting:
        worker = free.index(min(free))
        left = sum(run.C for run in runs if not run.pieces or run.end > free[worker])
        team, C = [], 0.0
        for run in waiting:
            if run.width == waiting[0].width and (not team or left / workers > C + run.C / 2):
                team.append(run)
                C += run.C
        waiting = [run for run in waiting if not any(run is other for other in team)]
        free[worker] = together(team, f"worker {worker}", free[worker])
    return max(free)


def together(team: list[Run], worker: str, at: float) -> float:
    """Train a stack from a time on; return when its last member has ended."""
    done, ordered = 0, sorted(team, key=lambda run: run.steps)
    for gone, ending in enumerate(ordered):
        members = ordered[gone:]
        pace = STEP + len(members) * ending.step_seconds
        for run in members:
            run.worker = worker
            run.pieces.append((at, done, pace))
            run.seconds += (ending.steps - done) * pace / len(members)
        at, done = at + (ending.steps - done) * pace, ending.steps
        ending.end = at
    return at


def recorded(run: Run, name: str, now: float, *, with_forecast: bool) -> RunState:
    """Return what is known of a run at a moment."""
    facts = {"steps": run.steps, "C": run.C, "forecast_seconds": run.seconds if with_forecast else None}
    if run.end <= now:
        return RunState(name, "", State.FINISHED, seconds=run.seconds, **facts)
    begun = [piece for piece in run.pieces if piece[0] <= now]
    if not begun:
        return RunState(name, "", State.PENDING, **facts)
    at, done, pace = begun[-1]
    step = done + int((now - at) / pace)
    facts |= {"step": step, "worker": run.worker, "step_seconds": pace}
    return RunState(name, "", State.RUNNING, seconds=now - run.pieces[0][0], **facts)


@pytest.mark.parametrize("with_forecast", [False, True], ids=["without a probe", "with forecasts"])
@pytest.mark.parametrize("workers", [1, 2, 4])
def test_from_a_quarter_on_it_is_within_a_seventh_of_the_truth(workers, with_forecast):
    """A step costs less as members leave, even where its FLOPs are few."""
    runs = sweep()
    end = train(runs, workers=workers)
    for share in (0.25, 0.5, 0.75, 0.9):
        now = share * end
        states = [recorded(run, str(n), now, with_forecast=with_forecast) for n, run in enumerate(runs)]
        assert eta(states) == pytest.approx(end - now, rel=1 / 7, abs=0.1), share
