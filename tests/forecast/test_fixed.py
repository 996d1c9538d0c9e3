"""What a run takes besides its steps, on a machine whose clock goes on by known costs."""

from __future__ import annotations

from pkgutil import resolve_name

import pytest
import torch

from scaling.forecast import fixed
from scaling.forecast.fixed import MEMBERS, member_seconds, point_seconds, run_seconds
from tests.waiting import Clock

CPU = torch.device("cpu")
STEP, CURVE, MILESTONE, CONFIG, RECORD = 0.001, 0.002, 0.005, 0.01, 0.04


@pytest.fixture
def clock(monkeypatch):
    """A clock that goes on by what each part of a run costs; all parts are real."""
    found = Clock()

    def costing(name, seconds):
        real = resolve_name(name)

        def timed(*arguments, **keys):
            found.now += seconds
            return real(*arguments, **keys)

        monkeypatch.setattr(name, timed)

    monkeypatch.setattr("scaling.forecast.fixed.clock_of", lambda _: found)
    for where in ("train.run", "train.stacked.run"):
        costing(f"scaling.{where}.write_config", CONFIG)
    costing("scaling.train.run.write_record", RECORD)
    costing("scaling.train.train_by_steps.take_point", MILESTONE)
    costing("scaling.train.train_by_steps.take_curve", CURVE)
    costing("scaling.forecast.fixed.take_point", MILESTONE)
    costing("scaling.forecast.fixed.take_curve", CURVE)
    costing("scaling.train.stacked.loop.note_point", MILESTONE)
    costing("scaling.optim.fused.FusedAdamW.step", STEP)
    return found


@pytest.mark.parametrize("steps", [1, 129])
def test_a_run_s_fixed_cost_is_what_its_steps_and_curve_leave(steps, clock, monkeypatch):
    monkeypatch.setattr(fixed, "STEPS", {"cpu": steps})
    assert run_seconds(CPU, step=STEP, curve=CURVE) == pytest.approx(CONFIG + MILESTONE + RECORD)
    assert run_seconds(CPU, step=1.0, curve=CURVE) == 0.0


def test_points_are_timed_by_themselves(clock):
    assert point_seconds(CPU) == pytest.approx((MILESTONE, CURVE))


def test_a_member_costs_its_own_files_and_points(clock):
    assert member_seconds(CPU, step=0.02) == pytest.approx(CONFIG + MILESTONE + RECORD - 0.02)
    assert clock.now == pytest.approx((1 + fixed.RUNS) * MEMBERS * (CONFIG + MILESTONE + RECORD))


def test_an_error_of_a_member_is_the_probe_s(monkeypatch):
    def broken(*_, **__):
        raise ValueError("no record")

    monkeypatch.setattr("scaling.train.stacked.run.settle", broken)
    with pytest.raises(ValueError, match="no record"):
        member_seconds(CPU, step=STEP)
