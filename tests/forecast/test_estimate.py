"""Forecasts: from costs to seconds, from a cache to costs, corrected by what was measured."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import astuple, dataclass, replace

import numpy as np
import pytest
import torch

from scaling.data.teacher import Teacher
from scaling.errors import UserError
from scaling.forecast.cards import speed_of_card
from scaling.forecast.estimate import Forecasts, estimate, forecast, forecast_all, relative_work
from scaling.forecast.fits import FASTER, fit_convolutions, fit_costs
from scaling.forecast.probe import probe_speed, small_trainer
from scaling.forecast.speed import Costs, Speed, keep_speed, known_speed, speed_path
from scaling.forecast.timing.shapes import CONVOLUTIONS, SHAPES, Shape, planned_shape
from scaling.forecast.work import ACTIVATION_BYTES, ALONE, StackShare, memory_bytes, step_work
from scaling.models.bottleneck import Bottleneck
from scaling.plan.planned import Fork
from scaling.train.device import torch_threads
from scaling.train.feed.feed import BLOCK_BYTES
from scaling.train.sizes import EVALUATED_ROWS
from tests.stages.family import child_run, parent_run
from tests.train.runs import planned
from tests.waiting import Clock

COSTS = Costs(step=1e-4, layer=5e-5, flop=1e-11, weight=5e-10, activation=2e-9, input=2e-9)
SPEED = Speed(
    device="a processor",
    kind="cpu",
    threads=1,
    torch="2",
    costs={"fp32": COSTS, "bf16": replace(COSTS, flop=3e-12)},
    draw={"blobs": 1e-5},
    run=0.01,
    error=0.05,
    probed_at="2026-01-01T00:00:00+00:00",
)
CPU = {"device": "cpu"}
FIXED = {  # functions of the probe, where they need not be real
    "point_seconds": lambda _: (0.0, 0.0),
    "run_seconds": lambda *_, **__: 0.1,
    "member_seconds": lambda *_, **__: 0.05,
    "_crowded": lambda *_: 1.0,
}
SUBSET = {"is": "blobs", "size": 1000}


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_a_step_s_work_is_that_of_the_counts():
    run = planned({"steps": 1, "batch": 32}, model={"is": "bottleneck", "width": 16, "depth": 3}, data=SUBSET)
    done = step_work(run.config, batch=32)
    assert done.flop == run.quantities.counts.C_counted(32)
    assert done.weight == run.quantities.counts.N_total
    assert done.layer == 2 + 3 * 3
    assert done.input == 6 * 32


def test_costs_are_recovered_from_the_times_they_make():
    times = [step_work(planned_shape(s, "fp32").config, batch=s.batch).seconds(COSTS) for s in SHAPES]
    fitted, error = fit_costs(SHAPES, times)
    assert error < 1e-6
    np.testing.assert_allclose(astuple(fitted), astuple(COSTS), rtol=1e-4)


def test_images_are_gathered_in_blocks_as_in_training():
    """No more than a block's bytes at a time, of all numbers of an image."""
    shape = CONVOLUTIONS[3]  # 32 images of 3 x 32 x 32
    trainer = small_trainer(shape, torch.device("cpu"))
    assert trainer.batches.at_once == max(1, BLOCK_BYTES["cpu"] // (4 * 3 * 32 * 32) // shape.batch)


def test_what_convolutions_cost_beside_their_products_is_recovered():
    costs = replace(COSTS, convolution=4e-4, map=8e-9)
    done = [step_work(planned_shape(s, "fp32").config, batch=s.batch) for s in CONVOLUTIONS]
    assert [(each.convolution, each.layer, each.map) for each in done[:3]] == [
        (3, 4, 128 * 16 * (20 + 10 + 5)),
        (3, 4, 128 * 64 * (20 + 10 + 5)),
        (2, 3, 64 * 16 * (14**2 + 7**2)),
    ]
    found = fit_convolutions(CONVOLUTIONS, [each.seconds(costs) for each in done], COSTS)
    np.testing.assert_allclose(astuple(found), astuple(costs), rtol=1e-6)
    assert fit_convolutions(CONVOLUTIONS, [0.5 * each.seconds(COSTS) for each in done], COSTS) == COSTS  # not below


def test_a_precision_of_slow_products_is_not_timed_on_steps(monkeypatch):
    timed = []

    def seconds(run, where):
        timed.append(run.config.train.precision)
        return step_work(run.config, batch=run.quantities.batch).seconds(COSTS)

    rates = {"fp32": 1e11, "bf16": 1e9}
    known = {"_product_rate": lambda _, precision: rates[precision], **FIXED}
    known |= {"_together": lambda *_: (SPEED.together, torch.get_num_threads()), "_step_seconds": seconds}
    known |= {"_augment_seconds": lambda _: 0.0, "draw_seconds": lambda *_: 0.0}
    for name, value in known.items():
        monkeypatch.setattr(f"scaling.forecast.probe.{name}", value)
    with torch_threads(2):
        speed = probe_speed("cpu", threads=1)
    assert "bf16" not in timed
    assert speed.costs["bf16"] == replace(speed.costs["fp32"], flop=1e-9)
    assert speed.numbers == 1  # stacks are timed with the threads of a worker


def test_no_rate_beyond_that_of_large_products_comes_out():
    """Where every shape is small its products hide in the noise: their cost is laid to what is counted beside them."""
    small = SHAPES[:3]
    each = [step_work(planned_shape(s, "fp32").config, batch=s.batch).seconds(COSTS) for s in small]
    times = [took * (1 - 0.1 * i) for i, took in enumerate(each)]
    wild, _ = fit_costs(small, times)
    bound, _ = fit_costs(small, times, products=1 / COSTS.flop)
    assert wild.flop < COSTS.flop / 2 / FASTER
    assert bound.flop >= COSTS.flop / FASTER
    exact = [step_work(planned_shape(s, "fp32").config, batch=s.batch).seconds(COSTS) for s in SHAPES]
    fitted, error = fit_costs(SHAPES, exact, products=2 / COSTS.flop)
    assert error < 1e-6
    np.testing.assert_allclose(astuple(fitted), astuple(COSTS), rtol=1e-4)


@pytest.mark.slow
def test_times_that_no_costs_explain_are_refused(monkeypatch):
    """Other processes were at work: better no forecast than a wild one."""
    noise = np.random.default_rng(0)

    def wild(run, where):
        slow = 20.0 if run.config.train.precision == wild.precision and noise.random() < 0.5 else 1.0
        return slow * step_work(run.config, batch=run.quantities.batch).seconds(COSTS)

    known = {
        "_product_rate": lambda *_: 1e12,
        **FIXED,
        "_together": lambda *_: (SPEED.together, 0),
    }
    for name, value in {"_step_seconds": wild, **known}.items():
        monkeypatch.setattr(f"scaling.forecast.probe.{name}", value)
    monkeypatch.setattr("scaling.forecast.probe.TURNS", 1)
    wild.precision = "bf16"
    assert set(probe_speed("cpu").costs) == {"fp32"}
    wild.precision = "fp32"
    with pytest.raises(UserError, match="probe again when less else runs"):
        probe_speed("cpu")


def test_augmentation_costs_time_at_the_size_that_the_network_reads():
    pixels = {"is": "blobs", "size": 1000, "pixels": True}
    plain, cropped = (planned({"steps": 100}, data=pixels, augment=augment) for augment in ("none", "standard"))
    speed = replace(SPEED, augment=1e-6)
    assert estimate(cropped, speed) == pytest.approx(estimate(plain, speed) + 100 * 32 * 6 * 1e-6)


def test_a_gpu_holds_images_up_to_half_of_its_memory():
    many, few = (planned({"steps": 2}, data={"is": "blobs", "size": n, "pixels": True}) for n in (10**9, 10**3))
    least = memory_bytes(few, kind="cuda")
    unknown, small, large = (memory_bytes(many, kind="cuda", card=card) - least for card in (0, 8 << 30, 80 << 30))
    assert large == unknown == pytest.approx(6e9, rel=0.01)
    assert small < 1e9


def test_steps_milestones_and_fresh_data_cost_time():
    base = estimate(planned({"steps": 100}, data=SUBSET), SPEED)
    step = step_work(planned({"steps": 1}).config, batch=32).seconds(COSTS)
    assert estimate(planned({"steps": 200}, data=SUBSET), SPEED) == pytest.approx(base + 100 * step)
    assert estimate(planned({"steps": 100, "milestones": 10}, data=SUBSET), SPEED) > base
    fresh = estimate(planned({"steps": 100}), SPEED)
    assert fresh == pytest.approx(base + 4096 * 1e-5, rel=0.05)  # 3,200 are trained on, more are evaluated


def test_a_run_costs_time_besides_its_steps():
    """For itself, for each further milestone and each point of its learning curve, of which those after a fork."""
    speed = replace(SPEED, milestone=0.003, curve=0.001)

    def fixed(keys, fork=None):
        run = replace(planned({**keys, **CPU}, data=SUBSET), fork=fork)
        return estimate(run, speed) - estimate(run, replace(speed, run=0.0, milestone=0.0, curve=0.0))

    assert fixed({"steps": 1}) == pytest.approx(0.01)
    assert fixed({"steps": 300}) == pytest.approx(0.01 + 4 * 0.001)  # steps 64, 128, 256, 300
    assert fixed({"steps": 300}, Fork("trunk", 200)) == pytest.approx(0.01 + 2 * 0.001)
    assert fixed({"steps": 300, "milestones": 4}) == pytest.approx(0.01 + 3 * 0.003)  # which are a curve themselves


@pytest.mark.parametrize(("stage", "points"), [("finetune", 4), ("probe", 4), ("ridge", 0), ("tta", 0)])
def test_a_stage_costs_time_besides_its_steps_as_any_run(stage, points):
    speed, length = replace(SPEED, curve=0.001), {"epochs": None, "steps": 300} if points else {}
    run = child_run(parent_run(), stage, train=length)
    share = StackShare(members=4, runs=4)
    alone, member = (estimate(run, speed, stack_share=each) for each in (ALONE, share))
    assert alone - estimate(run, replace(speed, run=0.0, curve=0.0)) == pytest.approx(0.01 + points * 0.001)
    assert alone - member == pytest.approx((1 - speed.together.run) * (0.01 + points * 0.001))


def test_a_linear_model_s_exact_solution_has_no_learning_curve():
    line = {"is": "line", "size": 32 * 300}
    run = planned({"steps": 300}, data=line, model={"is": "linear", "width": 4}, optim={"is": "lstsq"})
    assert estimate(run, SPEED) == estimate(run, replace(SPEED, curve=1.0))


@pytest.mark.parametrize("kind", ["cpu", "cuda"])
def test_all_of_a_run_takes_longer_where_other_cores_train(kind):
    run = planned({"steps": 300, "milestones": 3})
    speed = replace(SPEED, kind=kind)
    assert estimate(run, replace(speed, crowded=1.2)) == pytest.approx(1.2 * estimate(run, speed))


def test_compiling_costs_time_once_a_run():
    once, twice = (estimate(planned({"steps": n, "engine": "compile"}, data=SUBSET), SPEED) for n in (100, 200))
    eager = [estimate(planned({"steps": n}, data=SUBSET), SPEED) for n in (100, 200)]
    assert once - eager[0] == pytest.approx(twice - eager[1])
    assert once - eager[0] > 1


def test_a_gpu_trains_while_examples_are_drawn():
    run = planned({"steps": 100})
    gpu = replace(SPEED, kind="cuda", draw={"blobs": 1e-6})
    assert estimate(run, gpu) == estimate(run, replace(gpu, draw={"blobs": 1e-9}))
    slow = 1e-2  # seconds an example
    waits = estimate(run, replace(gpu, draw={"blobs": slow})) - estimate(run, replace(gpu, draw={"blobs": 2 * slow}))
    assert waits == pytest.approx(-4096 * slow)


def test_evaluations_and_memory_are_counted_in_the_rows_that_the_device_evaluates():
    run = planned({"steps": 100, "milestones": 10}, data=SUBSET)
    layers = replace(COSTS, step=0.0, flop=0.0, weight=0.0, activation=0.0, input=0.0)
    rows = run.config.data.n_test + run.config.data.n_validation + 1000
    [each] = {step_work(run.config, batch=n).layer for n in (1, rows)}
    for kind in ("cpu", "cuda"):
        passes = 10 * -(-rows // EVALUATED_ROWS[kind])
        speed = replace(SPEED, kind=kind, costs={"fp32": layers}, draw={}, run=0.0)
        wanted = (100 + passes / 3) * each * COSTS.layer
        assert estimate(run, speed) == pytest.approx(wanted)
        numbers = step_work(run.config, batch=EVALUATED_ROWS[kind]).activation
        assert memory_bytes(run, kind=kind) > ACTIVATION_BYTES * numbers


def test_an_evaluation_reads_its_examples_and_scores_their_outputs():
    once, more = (planned({"steps": 100, "milestones": n}, data=SUBSET) for n in (1, 11))
    rows = once.config.data.n_test + once.config.data.n_validation + 1000
    for cost, units in (
        ("input", 6 * rows / 3),
        ("activation", step_work(once.config, batch=rows).activation / 3 + 24 * rows),
    ):
        only = replace(
            COSTS, step=0.0, layer=0.0, flop=0.0, weight=0.0, **{"activation": 0.0, "input": 0.0, cost: 1e-9}
        )
        speed = replace(SPEED, costs={"fp32": only}, draw={}, run=0.0)
        assert estimate(more, speed) - estimate(once, speed) == pytest.approx(10 * units * 1e-9)


def test_images_are_held_normalised_as_well_where_training_does_so(monkeypatch):
    few = planned({"epochs": 2}, data={"is": "blobs", "size": 1000, "pixels": True})
    numbers = np.prod(few.config.data.shape) * (2 * 1000 + few.config.data.n_test + few.config.data.n_validation)
    both = memory_bytes(few, kind="cpu")
    monkeypatch.setattr("scaling.train.sizes.NORMALISED_BYTES", 0)
    assert both - memory_bytes(few, kind="cpu") == 4 * numbers


def test_precision_has_its_own_costs():
    wide = {"is": "mlp", "width": 512, "depth": 2}
    fast, slow = (estimate(planned({"steps": 100, "precision": p}, model=wide), SPEED) for p in ("bf16", "fp32"))
    assert fast < slow


def test_runs_of_the_same_shape_correct_the_forecast():
    keep_speed(SPEED)
    run, longer = planned({"steps": 100, **CPU}, data=SUBSET), planned({"steps": 300, **CPU}, data=SUBSET, seed=4)
    other = planned({"steps": 100, **CPU}, model={"is": "mlp", "width": 9, "depth": 1}, data=SUBSET)
    done = [(longer, 2.5 * estimate(longer, SPEED)), (other, 99.0)]
    corrected = forecast_all([run], done=done)[run.run_id]
    assert corrected.seconds == pytest.approx(2.5 * estimate(run, SPEED))
    assert corrected.basis == "probe of a processor, 1 such run done"


def test_runs_that_are_alike_correct_the_forecast_where_none_has_the_shape():
    keep_speed(SPEED)
    wanted = planned({"steps": 100, **CPU}, model={"is": "mlp", "width": 40, "depth": 3}, data=SUBSET)
    others = [
        planned({"steps": 100, **CPU}, model={"is": "mlp", "width": width, "depth": 1}, data=SUBSET)
        for width in (4, 8, 16)
    ]
    done = [(run, factor * estimate(run, SPEED)) for run, factor in zip(others, (1.5, 2.0, 9.0), strict=True)]
    corrected = forecast_all([wanted], done=done)[wanted.run_id]
    assert corrected.seconds == pytest.approx(2.0 * estimate(wanted, SPEED))
    assert corrected.basis == "probe of a processor, 3 similar runs done"
    assert forecast_all([wanted], done=done[:2])[wanted.run_id].basis == "probe of a processor"
    bf16 = planned({"steps": 100, "precision": "bf16", **CPU}, data=SUBSET)
    assert forecast_all([bf16], done=done)[bf16.run_id].seconds == estimate(bf16, SPEED)


def test_without_a_probe_runs_of_the_same_shape_tell():
    run, longer = planned({"steps": 100, **CPU}, data=SUBSET), planned({"steps": 300, **CPU}, data=SUBSET, seed=4)
    other = planned({"steps": 100, **CPU}, model={"is": "mlp", "width": 9, "depth": 1}, data=SUBSET)
    found = forecast_all([run, other], done=[(longer, 6.0)])
    assert set(found) == {run.run_id}
    assert found[run.run_id].seconds == pytest.approx(2.0)
    assert found[run.run_id].basis == "1 such run done, no probe"


def test_a_model_of_a_user_s_own_is_a_guess_until_one_is_done():
    keep_speed(SPEED)
    own = {"is": "custom", "module": "tests.train.step.nets.Net"}
    run, done = (planned({"steps": 100, **CPU}, model=own, data=SUBSET, seed=seed) for seed in (0, 1))
    assert forecast_all([run])[run.run_id].basis == "probe of a processor, a guess from its layers"
    found = forecast_all([run], done=[(done, 7.0)])[run.run_id]
    assert found.seconds == pytest.approx(7.0)
    assert found.basis == "probe of a processor, 1 such run done"


MEASURED = {  # images/s of B-6/Wi-1024 at 64 pixels in batches of 16,384, by card and precision
    ("h100", "bf16"): 955_000,
    ("h100", "tf32"): 572_000,
    ("a5000", "tf32"): 47_000,  # of the reference paper
}


@pytest.mark.parametrize(("card", "precision"), MEASURED)
def test_cards_that_are_not_here_are_as_fast_as_they_were_measured(card, precision):
    shape = Shape(Bottleneck(width=1024, depth=6), 16_384, 12_288)
    costs = speed_of_card(card).of(precision)
    seconds = step_work(planned_shape(shape, precision).config, batch=shape.batch).seconds(costs)
    assert shape.batch / seconds == pytest.approx(MEASURED[card, precision], rel=0.05 if card == "h100" else 0.25)


def test_a_card_that_nobody_knows_is_refused():
    with pytest.raises(UserError, match="wanted one of h100, h200, a100, a5000"):
        speed_of_card("h1000")


def test_a_speed_is_kept_for_the_device(tmp_path):
    assert known_speed("cpu", 1) is None
    assert keep_speed(SPEED) == speed_path("cpu", 1)
    assert known_speed("cpu", 1) == SPEED
    assert known_speed("cpu", 2) is None
    speed_path("cpu", 1).write_text(SPEED.to_json()[:100])
    assert known_speed("cpu", 1) is None


def test_a_probe_from_before_fixed_costs_were_told_apart_is_read():
    raw = json.loads(SPEED.to_json())
    del raw["milestone"], raw["curve"], raw["crowded"], raw["together"]["run"]
    assert Speed.from_json(json.dumps(raw)) == replace(SPEED, milestone=0.0, curve=0.0)
    del raw["run"]
    with pytest.raises(ValueError, match="not a whole probe"):
        Speed.from_json(json.dumps(raw))


def test_without_a_probe_there_is_no_forecast():
    run = planned({"steps": 100, **CPU})
    assert forecast_all([run]) == {}
    keep_speed(SPEED)
    [(run_id, found)] = forecast_all([run]).items()
    assert run_id == run.run_id
    assert found.row() == {
        "seconds": round(estimate(run, SPEED), 3),
        "memory_bytes": found.memory_bytes,
        "device": "a processor",
        "basis": "probe of a processor",
    }


def test_without_a_probe_runs_are_compared_on_a_usual_device():
    """It tells workers and the time left which runs are long; it is no forecast."""
    few, many = (planned({"steps": steps, **CPU}) for steps in (1000, 3000))
    work = relative_work([few, many], stack_shares={})
    assert 2.5 * work[few.run_id] < work[many.run_id] < 3.1 * work[few.run_id]
    keep_speed(SPEED)
    rows = Forecasts(forecast_all([few]), work, {many.run_id: StackShare(2.5, runs=2.5)}).rows()
    assert [row["run_id"] for row in rows] == [few.run_id, many.run_id]
    assert [row["work"] for row in rows] == [work[few.run_id], work[many.run_id]]
    assert rows[1]["seconds"] is None
    assert [row.get("members") for row in rows] == [None, 2.5]


@dataclass(frozen=True, kw_only=True)
class Shifted(Teacher):
    """A user's data set with the name of another, and a key without a default."""

    shift: float


def test_fresh_examples_of_a_class_derived_from_a_data_set_cost_what_those_of_the_set_do():
    run = planned({"steps": 1_000})
    run = replace(run, config=replace(run.config, data=Shifted(shift=1.0)))
    free, drawing = (replace(SPEED, draw=draw) for draw in ({}, {"teacher": 1e-5}))
    drawn = estimate(run, drawing) - estimate(run, free)
    assert drawn == pytest.approx(run.quantities.D * 1e-5)


def test_a_run_that_forks_draws_only_its_own_fresh_examples():
    run = planned({"steps": 1000, "batch": 128, **CPU})
    fork = replace(run, fork=Fork("trunk", 750))
    free = replace(SPEED, draw={"blobs": 0.0})
    drawn = [estimate(each, SPEED) - estimate(each, free) for each in (run, fork)]
    assert drawn == pytest.approx([128_000 * 1e-5, 32_000 * 1e-5])


def test_forecasting_does_not_start_torch():
    code = "import sys, scaling.forecast.estimate; sys.exit('torch' in sys.modules or 'scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.slow
def test_a_probe_of_a_machine_of_known_costs_finds_them(monkeypatch):
    """A machine that trains nothing, and whose clock goes on by what each step would cost."""
    clock = Clock()

    def advance(trainer, until, tick):
        run = trainer.run
        clock.now += (until - trainer.step) * step_work(run.config, batch=run.quantities.batch).seconds(COSTS)
        trainer.step = until
        return True

    for part in ("probe", "fixed"):
        monkeypatch.setattr(f"scaling.forecast.{part}.clock_of", lambda _: clock)
    monkeypatch.setattr("scaling.forecast.probe._product_rate", lambda *_: 2 / COSTS.flop)
    monkeypatch.setattr("scaling.train.loop.Trainer.advance", advance)
    monkeypatch.setattr("scaling.forecast.probe._together", lambda *_: (SPEED.together, 0))
    monkeypatch.setattr("scaling.forecast.probe._crowded", lambda *_: 1.0)
    speed = probe_speed("cpu")
    for precision in ("fp32", "bf16"):
        np.testing.assert_allclose(astuple(speed.costs[precision]), astuple(COSTS), rtol=1e-4, atol=1e-15)
    assert speed.error < 1e-6
    assert speed.run == speed.milestone == speed.curve == pytest.approx(0.0, abs=1e-9)


@pytest.mark.slow
def test_a_real_probe_gives_costs_that_more_work_multiplies(monkeypatch):
    """How near such a forecast comes to what runs take is measured in tests/benchmarks/bench_forecast.py."""
    monkeypatch.setattr("scaling.forecast.probe.MOST_ERROR", 99.0)  # other processes may be at work
    speed = probe_speed("cpu")
    assert all(max(astuple(costs)) > 0 and min(astuple(costs)) >= 0 for costs in speed.costs.values())
    assert min(speed.run, speed.milestone, speed.curve, speed.together.run, *speed.draw.values()) > 0
    short, long = (forecast(planned({"steps": steps, **CPU}, data=SUBSET), speed).seconds for steps in (100, 10_000))
    assert 0 < short < long
