"""What stacks cost: found from the times that they make, and timed for real."""

from __future__ import annotations

from dataclasses import astuple, replace

import numpy as np
import pytest
import torch

from scaling.forecast.fits import TimedStack, enough_numbers, fit_together
from scaling.forecast.speed import USUAL_TOGETHER, StackCosts
from scaling.forecast.timing.shapes import STACKS, planned_shape
from scaling.forecast.together import STEPS, step_seconds
from scaling.forecast.work import step_work
from tests.forecast.test_estimate import COSTS
from tests.waiting import Clock

RUNS = [(planned_shape(shape, "fp32"), members) for shape, members in STACKS]


def timed(together: StackCosts) -> list[TimedStack]:
    """What stacks of known costs take."""
    found = []
    for run, members in RUNS:
        step = step_work(run.config, batch=run.quantities.batch)
        fixed = step.fixed(COSTS)
        sized = step.seconds(COSTS) - fixed
        each = together.member + together.sized * sized
        found.append(TimedStack(run, members, together.step * fixed + members * each))
    return found


@pytest.mark.parametrize("kind", ["cpu", "cuda"])
def test_costs_of_stacks_are_recovered_from_the_times_they_make(kind):
    together = replace(USUAL_TOGETHER[kind], beside=1.0)  # which is timed apart
    stacks = timed(together)
    found, error = fit_together(stacks, COSTS)
    assert error < 1e-6
    np.testing.assert_allclose(astuple(found), astuple(together), rtol=1e-4, atol=1e-9)
    noise = np.random.default_rng(0).normal(1.0, 0.05, len(stacks))
    near, error = fit_together(
        [replace(stack, seconds=stack.seconds * by) for stack, by in zip(stacks, noise, strict=True)], COSTS
    )
    assert error < 0.1
    assert near.step == pytest.approx(together.step, rel=0.2)


def test_a_stack_s_step_is_timed_without_its_beginning(monkeypatch):
    """On a machine of known costs, where making a stack and its first steps take seconds."""
    clock, costs = Clock(), iter([3.0])

    class Known:
        def __init__(self, members, device):
            clock.now += len(members)
            self.members = members

        def advance(self, count, tick):
            clock.now += next(costs, 0.0) + count * len(self.members) * 1e-3

        def prepare(self, count):
            clock.now += 1e-3

        def read_totals(self):
            return []

    monkeypatch.setattr("scaling.forecast.together.clock_of", lambda _: clock)
    monkeypatch.setattr("scaling.forecast.together.Stack", Known)
    run, members = RUNS[0]
    each = members * 1e-3 + 1e-3 / STEPS["cpu"]
    assert step_seconds(run, members, torch.device("cpu")) == pytest.approx(each)


def test_more_members_than_gain_are_not_enough_but_too_many():
    """A step costs 100 us and 10 us a member, until the cache is full at 20 members."""
    run, other = RUNS[0][0], RUNS[2][0]
    each, sizes = step_work(run.config, batch=run.quantities.batch).numbers, (4, 8, 16, 32, 64)

    def enough(step):
        stacks = [TimedStack(run, n, step(n)) for n in sizes] + [TimedStack(other, 3, 1e-9)]
        return enough_numbers(stacks, least=100 * each)

    assert enough(lambda n: 1e-4 + 1e-5 * n * (1.0 if n <= 20 else 1.5)) == 16 * each
    assert enough(lambda n: 1e-9 + 1e-5 * n) == 4 * each
    assert enough(lambda n: 1e-4 + 1e-6 * n) == 100 * each  # larger ones may be worth more still


@pytest.mark.slow
def test_real_stacks_are_timed():
    assert 0 < step_seconds(*RUNS[0], torch.device("cpu")) < 1
