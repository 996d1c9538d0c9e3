"""What stacks cost: found from the times that they make, and timed for real."""

from __future__ import annotations

from dataclasses import astuple

import numpy as np
import pytest
import torch

from scaling.forecast.speed import USUAL_TOGETHER, StackCosts
from scaling.forecast.timing.shapes import STACKS, planned_shape
from scaling.forecast.together import Stack, enough_numbers, fit_together, step_seconds
from scaling.forecast.work import work
from tests.forecast.test_estimate import COSTS
from tests.waiting import Clock

STACKED = [Stack(planned_shape(shape, "fp32"), members) for shape, members in STACKS]


def seconds(stack: Stack, together: StackCosts) -> float:
    step = work(stack.run.config, batch=stack.run.quantities.batch)
    fixed = step.fixed(COSTS)
    sized = step.seconds(COSTS) - fixed
    return together.step * fixed + stack.members * (together.member + together.sized * sized)


@pytest.mark.parametrize("kind", ["cpu", "cuda"])
def test_costs_of_stacks_are_recovered_from_the_times_they_make(kind):
    together = USUAL_TOGETHER[kind]
    found, error = fit_together(STACKED, [seconds(stack, together) for stack in STACKED], COSTS)
    assert error < 1e-6
    np.testing.assert_allclose(astuple(found), astuple(together), rtol=1e-4, atol=1e-9)
    noise = np.random.default_rng(0).normal(1.0, 0.05, len(STACKED))
    near, error = fit_together(
        STACKED, [seconds(s, together) * by for s, by in zip(STACKED, noise, strict=True)], COSTS
    )
    assert error < 0.1
    assert near.step == pytest.approx(together.step, rel=0.2)


def test_a_stack_s_step_is_timed_by_what_a_longer_training_takes_more(monkeypatch):
    """On a machine of known costs, where beginning and ending take seconds of their own."""
    clock, together = Clock(), USUAL_TOGETHER["cpu"]

    def train(members, *, device):
        first = members[0].run
        stack = Stack(first, len(members))
        clock.now += 3.0 + len(members) + first.quantities.steps * seconds(stack, together)
        assert len({member.run.run_id for member in members}) == len(members)

    monkeypatch.setattr("scaling.forecast.together.clock_of", lambda _: clock)
    monkeypatch.setattr("scaling.forecast.together.train_stack", train)
    for stack in STACKED[:3]:
        assert step_seconds(stack, torch.device("cpu")) == pytest.approx(seconds(stack, together))


def test_more_members_than_gain_are_not_enough_but_too_many():
    """A step costs 100 us and 10 us a member, until the cache is full at 20 members."""
    run, other = STACKED[0].run, STACKED[2].run
    each, sizes = work(run.config, batch=run.quantities.batch).numbers, (4, 8, 16, 32, 64)

    def enough(step):
        stacks = [Stack(run, n) for n in sizes] + [Stack(other, 3)]
        return enough_numbers(stacks, [step(n) for n in sizes] + [1e-9], least=100 * each)

    assert enough(lambda n: 1e-4 + 1e-5 * n * (1.0 if n <= 20 else 1.5)) == 16 * each
    assert enough(lambda n: 1e-9 + 1e-5 * n) == 4 * each
    assert enough(lambda n: 1e-4 + 1e-6 * n) == 100 * each  # larger ones may be worth more still


@pytest.mark.slow
def test_real_stacks_are_timed():
    assert 0 < step_seconds(STACKED[0], torch.device("cpu")) < 1
