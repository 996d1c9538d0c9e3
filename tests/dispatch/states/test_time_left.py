"""The time left of a sweep, foretold in mid-course: by what is left, not by the mean run."""

from __future__ import annotations

from itertools import product
from random import Random

import pytest

from scaling.dispatch.states.state import RunState, State
from scaling.dispatch.states.time_left import eta

STEP, FLOP = 4e-4, 2e-11  # seconds
WIDTHS, BUDGETS, SEEDS = (8, 12, 16, 24, 32, 48, 64, 96, 192), (2e8, 5e8, 1e9, 2e9, 5e9), 3


def work():
    """Steps and FLOPs of an isoFLOP sweep, in the order in which workers take its runs: longest first."""
    found = []
    for width, budget, _ in product(WIDTHS, BUDGETS, range(SEEDS)):
        per_step = 128 * 6 * (16 * width + 2 * width**2 + 10 * width)
        found.append((max(1, round(budget / per_step)), budget))
    return sorted(found, key=lambda each: -(STEP * each[0] + FLOP * each[1]))


def seconds(steps, C):
    return STEP * steps + FLOP * C


def grid():
    """Steps and FLOPs of five widths and six sizes of a data set, ten epochs each; most FLOPs first."""
    found = []
    for width, size, _ in product((16, 32, 64, 128, 256), (1875, 3750, 7500, 15_000, 30_000, 60_000), range(SEEDS)):
        steps = 10 * size // 128
        found.append((steps, steps * 128 * 6 * (784 * width + 2 * width**2 + 10 * width)))
    return sorted(found, key=lambda each: -each[1])


def foretold(share, *, workers=2, forecast, scatter=0.0, seed=0, runs=None, cost=(STEP, FLOP)):
    """Let workers take the runs in turn for a share of the seconds; return what is left then, foretold and true."""
    at, free, noise = [], [0.0] * workers, Random(seed)
    for steps, C in runs or work():
        worker, took = free.index(min(free)), (cost[0] * steps + cost[1] * C) * noise.lognormvariate(0, scatter)
        at.append((free[worker], took, steps, C))
        free[worker] += took
    now, states = share * max(free), []
    for number, (start, took, steps, C) in enumerate(at):
        facts = {"steps": steps, "C": C, **forecast(steps, C)}
        if start + took <= now:
            states.append(RunState(str(number), "", State.FINISHED, seconds=took, **facts))
        elif start <= now:
            done = int(steps * (now - start) / took)
            states.append(RunState(str(number), "", State.RUNNING, seconds=now - start, step=done, **facts))
        else:
            states.append(RunState(str(number), "", State.PENDING, **facts))
    return eta(states), max(free) - now


def usual(steps, C):
    """The work of a run without a probe: by the costs of a usual device."""
    return {"work": seconds(steps, C)}


def probed(steps, C):
    return {"forecast_seconds": 0.4 * seconds(steps, C)}


@pytest.mark.parametrize("share", [0.25, 0.5, 0.75, 0.9])
@pytest.mark.parametrize("forecast", [usual, probed])
def test_from_a_quarter_on_it_is_within_a_quarter_of_the_truth(share, forecast):
    found, left = foretold(share, forecast=forecast)
    assert found == pytest.approx(left, rel=0.25)


@pytest.mark.parametrize("share", [0.25, 0.5, 0.75])
@pytest.mark.parametrize("cost", [(4e-4, 2e-11), (2.5e-4, 2e-11), (7e-4, 2e-11), (1e-3, 5e-11)])
def test_without_forecasts_the_first_runs_may_all_have_steps_of_one_size(share, cost):
    """Of a quarter of the seconds nothing but the widest is seen: what a step usually costs tells of the others."""
    found, left = foretold(share, forecast=usual, runs=grid(), cost=cost)
    assert found == pytest.approx(left, rel=0.25)


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_runs_much_alike_that_scatter_do_not_mislead_it(workers):
    """The longest come first, of which steps are a small part: what scatters among them is no cost of steps."""
    for seed, share in product(range(6), (0.25, 0.5, 0.75)):
        facts = {"workers": workers, "scatter": 0.15, "seed": seed}
        found, left = foretold(share, forecast=probed, **facts)
        assert found == pytest.approx(left, rel=0.25), (seed, share)


def test_what_was_trained_before_an_attempt_took_none_of_its_seconds():
    """A run of 100 s, taken up after half of it; another waits to be, at nine tenths."""
    facts = {"steps": 1000, "C": 1e9, "forecast_seconds": 80.0}
    taken_up = RunState("a", "", State.RUNNING, seconds=15.0, step=650, began=500, **facts)
    waits = RunState("b", "", State.PENDING, began=900, **facts)
    assert eta([taken_up]) == pytest.approx(35.0, rel=0.02)
    assert eta([taken_up, waits]) == pytest.approx(45.0, rel=0.02)
    just = RunState("a", "", State.RUNNING, seconds=1.0, silent=1.0, began=500, **facts)
    assert eta([just]) == pytest.approx(39.0, rel=0.02)


def test_a_run_has_gone_on_since_its_step_was_noted():
    """A hundred of a thousand steps in ten seconds, five seconds ago; a worker silent for long may not have."""
    facts = {"step": 100, "steps": 1000, "C": 1e9}
    for silent, left in ((5.0, 85.0), (900.0, 30.0)):
        run = RunState("a", "", State.RUNNING, seconds=10.0 + silent, seconds_at_step=10.0, silent=silent, **facts)
        assert eta([run]) == pytest.approx(left, rel=0.02)


def test_runs_that_a_worker_trains_together_share_its_time():
    """Two workers, each with ten of forty runs of 2 s of its time, half of a stack's 20 s gone; then ten more each."""
    facts = {"steps": 100, "C": 1e9, "forecast_seconds": 2.0}
    running = {"seconds": 10.0, "step": 50, "stacked": True, "members": 10.0, **facts}
    states = [RunState(str(n), "", State.RUNNING, worker=f"w{n % 2}", **running) for n in range(20)]
    states += [RunState(str(n), "", State.PENDING, **facts) for n in range(20, 40)]
    assert eta(states) == pytest.approx(30.0)
    assert eta(states[:20]) == pytest.approx(10.0)
