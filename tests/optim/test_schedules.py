"""Schedules as functions of the step."""

from __future__ import annotations

from itertools import pairwise

import pytest

from scaling.schedules.constant import Constant
from scaling.schedules.cosine import Cosine
from scaling.schedules.wsd import WarmupStableDecay


def curve(schedule, steps):
    return [schedule.factor(step, steps) for step in range(steps)]


@pytest.mark.parametrize("schedule", [Constant(), Cosine(), WarmupStableDecay()], ids=repr)
@pytest.mark.parametrize("steps", [1, 2, 7, 1000])
def test_every_step_moves_and_none_exceeds_the_rate(schedule, steps):
    assert all(0 < factor <= 1 for factor in curve(schedule, steps))
    assert schedule.factor(0, steps) == 1


@pytest.mark.parametrize("kind", [Constant, Cosine, WarmupStableDecay])
def test_warmup_rises_linearly_to_the_full_rate(kind):
    factors = curve(kind(warmup=0.1), 100)
    assert factors[:10] == pytest.approx([0.1 * (i + 1) for i in range(10)])
    assert max(factors) == 1


def test_cosine_passes_half_in_the_middle_and_ends_at_its_final_share():
    assert Cosine().factor(500, 1000) == pytest.approx(0.5)
    assert Cosine(final=0.1).factor(500, 1000) == pytest.approx(0.55)
    assert Cosine(final=0.1).factor(999, 1000) == pytest.approx(0.1, abs=1e-4)


def test_wsd_is_flat_until_its_last_share():
    factors = curve(WarmupStableDecay(decay=0.2), 1000)
    assert set(factors[:800]) == {1.0}
    assert factors[900] == pytest.approx(0.5)
    assert factors[-1] == pytest.approx(1 / 200)
    assert all(a >= b for a, b in pairwise(factors))


def test_wsd_decays_to_its_final_share():
    assert WarmupStableDecay(decay=0.5, final=0.2).factor(999, 1000) == pytest.approx(0.2, abs=2e-3)
