"""Who is trained with whom, how many are worth it, and what the plan says of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from scaling.forecast.cards import speed_of_card
from scaling.forecast.division import divide
from scaling.forecast.estimate import SCORED, SCORED_TOGETHER, estimate, forecast, forecast_all
from scaling.forecast.speed import StackCosts, keep_speed
from scaling.forecast.stacks import (
    MOST,
    NUMBERS,
    SIDE_BY_SIDE,
    gain_of_stacking,
    is_stack_by_itself,
    shares_of_the_rest,
    stack_shares,
    stack_size,
)
from scaling.forecast.work import ACTIVATION_BYTES, ALONE, StackShare, memory_bytes, stack_bytes, step_work
from scaling.plan.identity import stack_key
from scaling.train.sizes import EVALUATED_NUMBERS
from tests.forecast.test_estimate import CPU, SPEED, own_cache  # noqa: F401
from tests.train.runs import planned
from tests.train.stacked.stacks import stacked

SIZED = {"is": "blobs", "size": 300}
BASE = {"train": {"steps": 40}, "data": SIZED}
SAME = [  # what may differ within a stack
    {**BASE, "seed": 3},
    {**BASE, "train": {"steps": 70, "clip": 1.0, "label_smoothing": 0.1, "milestones": 3, "keep": "last"}},
    {**BASE, "optim": {"is": "adamw", "lr": 0.1, "weight_decay": 0.2, "beta1": 0.5, "beta2": 0.9}},
    {**BASE, "data": {"is": "blobs", "size": 200, "seed": 5}},
]
OTHER = [
    {**BASE, "train": {"steps": 40, "batch": 64}},
    {**BASE, "train": {"steps": 40, "precision": "bf16"}},
    {**BASE, "train": {"steps": 40, "device": "cpu"}},
    {**BASE, "model": {"is": "mlp", "width": 12, "depth": 1}},
    {**BASE, "optim": "lion"},
    {**BASE, "schedule": "constant"},
    {**BASE, "data": {"is": "blobs", "size": 300, "noise": 0.1}},
    {**BASE, "train": {"steps": 40, "graph": "off"}},
    {**BASE, "train": {"steps": 40, "micro_batch": 16}},
    {**BASE, "train": {"steps": 40, "stack": 2}},
]


def key(keys, engine="stacked"):
    run = stacked(keys, engine=engine)
    return stack_key(run.config, run.quantities)


def test_a_key_is_shared_by_what_has_one_shape():
    assert {key(keys) for keys in SAME} == {key(BASE)}
    assert len({key(keys) for keys in (BASE, *OTHER)}) == 1 + len(OTHER)
    assert key(BASE, engine="eager") == ""
    assert key({"train": {"steps": 2}, "model": {"is": "linear", "width": 4}, "optim": {"is": "lstsq"}, **LINE}) == ""


LINE = {"data": {"is": "line", "size": 64}}


def test_how_many_gain_is_asked_only_of_runs_that_may_be_trained_together():
    """It takes a millisecond for each shape, and a plan may have ten thousand runs that are trained one by one."""
    asked = list[int]()
    stacks = divide(range(7), key=lambda run: run % 5, work=float, workers=1, most=lambda run: asked.append(run) or 1)
    assert list(stacks) == [[0], [5], [1], [6], [2], [3], [4]]
    assert asked == [0, 1]


def test_small_shapes_go_in_large_stacks_and_large_ones_alone():
    small, middle, large = (
        planned({"steps": 5, "batch": 128}, model={"is": "mlp", "width": width, "depth": 2}) for width in (8, 192, 2048)
    )
    sizes = [stack_size(run, "cpu") for run in (small, middle, large)]
    assert MOST["cpu"] == sizes[0] > sizes[1] > sizes[2] == 1
    assert sizes[1] < stack_size(middle, "cuda") <= MOST["cuda"]
    assert stack_size(planned({"steps": 5, "stack": 3}), "cpu") == 3
    keep_speed(replace(SPEED, numbers=2 * NUMBERS["cpu"]))  # of a probe that found larger caches
    assert stack_size(middle, "cpu") in (2 * sizes[1], 2 * sizes[1] + 1)
    keep_speed(SPEED)
    assert stack_size(middle, "cpu") == sizes[1]


def test_a_member_has_the_company_of_those_that_last_as_long():
    runs = [stacked({**BASE, "train": {"steps": steps, "device": "cpu"}, "seed": steps}) for steps in (10, 20, 40)]
    found = stack_shares(runs)
    alone = [10 / 3, 10 / 3 + 10 / 2, 10 / 3 + 10 / 2 + 20]  # steps, of which each pays its part
    assert [found[run.run_id].members for run in runs] == pytest.approx([10 / alone[0], 20 / alone[1], 40 / alone[2]])
    assert stack_shares([stacked(BASE, engine="eager")]) == {}


def test_stacks_of_a_gpu_that_begin_together_share_its_time_until_the_longest_ends(monkeypatch):
    """Four at a time, of two runs each of shapes that last 40, 30, 20 and 10 steps; then one of 5 steps."""
    monkeypatch.setitem(SIDE_BY_SIDE, "cuda", 4)
    runs = [
        stacked(
            {**BASE, "train": {"steps": steps, "device": "cuda"}, "model": {"is": "mlp", "width": width, "depth": 1}}
        )
        for width, steps in ((80, 40), (81, 30), (82, 20), (83, 10), (8, 5))
        for _ in range(2)
    ]
    runs = [replace(run, config=replace(run.config, seed=i), run_id=str(i)) for i, run in enumerate(runs)]
    found = stack_shares(runs, kind="cuda")
    shares = [found[str(i)] for i in (0, 2, 4, 6, 8)]
    assert [share.stacks for share in shares] == [100 / 40] * 4 + [1.0]
    rounds = [10 / 8 + 10 / 6 + 10 / 4 + 10 / 2, 10 / 8 + 10 / 6 + 10 / 4, 10 / 8 + 10 / 6, 10 / 8, 5 / 2]
    lengths = (40, 30, 20, 10, 5)
    assert [length / share.runs for length, share in zip(lengths, shares, strict=True)] == pytest.approx(rounds)
    assert {(share.stacks, share.runs) for share in stack_shares(runs, kind="cpu").values()} == {(1.0, 2.0)}


@pytest.mark.parametrize(("workers", "at_once"), [(1, 8), (2, 4), (4, 2), (8, 1)])
def test_a_worker_takes_no_more_parallel_stacks_than_its_share_of_the_work(workers, at_once):
    """Of eight equal ones; those that are left for the end are smaller."""
    shapes = [{**BASE, "data": {**SIZED, "noise": noise / 10}} for noise in range(8)]
    runs = [stacked({**shape, "seed": seed}) for shape in shapes for seed in range(8)]
    found = stack_shares(runs, kind="cuda", workers=workers)
    assert {found[run.run_id].stacks for run in runs[: 8 * at_once]} == {float(at_once)}
    assert sum(share.stacks for share in found.values()) / len(runs) < at_once + 2.5


def test_stacks_of_two_precisions_are_not_trained_in_parallel():
    runs = [
        stacked(
            {**BASE, "train": {"steps": 40, "precision": precision}, "model": {**OTHER[3]["model"], "width": width}}
        )
        for width in (8, 12, 16)
        for precision in ("tf32", "bf16")
    ]
    found = stack_shares(runs, kind="cuda")
    assert {share.stacks for share in found.values()} == {3.0}
    numbers = {(run.config.train.precision, found[run.run_id].beside) for run in runs}
    assert len(numbers) == len(dict(numbers)) == 2


def test_a_run_that_gains_nothing_from_others_is_not_trained_beside_them():
    wide = {**BASE, "model": {"is": "mlp", "width": 4_096, "depth": 3}}
    own = {**BASE, "model": {"is": "custom", "module": "tests.train.step.nets.Net"}}
    single = {**BASE, "train": {"steps": 40, "stack": 1}}
    assert is_stack_by_itself(stacked(BASE), "cuda")
    assert not any(is_stack_by_itself(stacked(keys), "cuda") for keys in (wide, own, single))
    apart = [stacked({**single, "model": {"is": "mlp", "width": width, "depth": 1}}) for width in (8, 12)]
    assert stack_shares(apart, kind="cuda") == {}


def test_the_members_of_parallel_stacks_pay_together_what_their_rounds_cost():
    """In each round the first stack costs a step, each other a third of one."""
    costs = StackCosts(step=2.0, member=0.0, sized=1.0, beside=1 / 3)
    rounds = 10 * (1 + 3 / 3) + 10 * (1 + 2 / 3) + 10 * (1 + 1 / 3) + 10  # of 40, 30, 20 and 10 steps
    assert costs.fixed(100 / 40) * 40 == pytest.approx(2.0 * rounds)
    assert costs.fixed(1.0) == 2.0


FOUR = StackShare(members=4, runs=4)


def test_members_share_what_a_step_costs_anyhow():
    run, longer = (planned({"steps": steps, **CPU}) for steps in (1000, 2000))
    costs, together = SPEED.costs["fp32"], SPEED.together
    step = step_work(run.config, batch=32)
    fixed, sized = step.fixed(costs), step.seconds(costs) - step.fixed(costs)
    member = together.step * fixed / 4 + together.member + together.sized * sized
    alone, shared = (
        estimate(longer, SPEED, stack_share=share) - estimate(run, SPEED, stack_share=share) for share in (ALONE, FOUR)
    )
    assert alone - shared == pytest.approx(1000 * (fixed + sized - member))
    assert memory_bytes(run, kind="cpu", members=64) > memory_bytes(run, kind="cpu")
    assert forecast(run, SPEED, stack_share=FOUR).seconds < forecast(run, SPEED).seconds


def test_a_step_of_users_modules_costs_more_in_a_stack_than_alone():
    """They are batched by vmap, on a CPU at a price."""
    own = {"is": "custom", "module": "tests.train.step.nets.Net"}
    run = planned({"steps": 1000, **CPU}, model=own, data=SIZED)
    alone, few, many = (estimate(run, SPEED, stack_share=StackShare(n, runs=n)) * n for n in (1, 2, 8))
    assert few > 1.3 * alone
    assert many < 8 * alone
    assert estimate(run, replace(SPEED, kind="cuda"), stack_share=FOUR) < few


def test_a_member_costs_less_than_a_run_alone_beside_its_steps():
    """Its files and its model, what does not depend on sizes in evaluation, and the scores."""
    none = replace(SPEED.costs["fp32"], step=0.0, layer=0.0, flop=0.0, weight=0.0, activation=0.0, input=0.0)
    run = planned({"steps": 1000, **CPU}, data=SIZED)
    for costs, least, most in (
        (none, 0.4, 0.4),
        (replace(none, activation=1e-6), SCORED_TOGETHER / SCORED, 1.0),
    ):
        together = StackCosts(step=1.0, member=0.0, sized=1.0, run=0.4)
        speed = replace(SPEED, costs={"fp32": costs}, draw={}, together=together)
        ratio = estimate(run, speed, stack_share=FOUR) / estimate(run, speed)
        assert least - 1e-9 <= ratio <= most


def test_members_are_evaluated_in_one_run_s_memory():
    """What is evaluated at a time is bounded for all together, on a GPU by 2^26 numbers of the widest layer."""
    run = planned({"steps": 1000}, model={"is": "mlp", "width": 64, "depth": 2})
    one, many = (memory_bytes(run, kind="cuda", members=n) for n in (1, 512))
    assert one < many < one + 6 * ACTIVATION_BYTES * EVALUATED_NUMBERS["cuda"]


def test_each_data_set_that_members_read_takes_memory():
    run = planned({"steps": 1000}, data={"is": "blobs", "size": 300, "pixels": True})
    one, three = (stack_bytes(run, "cpu", 8, sets=sets) for sets in (1, 3))
    examples = 2 * 300 + run.config.data.n_validation + run.config.data.n_test
    assert three - one == 2 * 6 * (1 + 4) * examples  # as bytes and, since they are read often, as float32


def test_members_of_one_seed_draw_their_fresh_examples_once():
    """Each pays for those that it reads alone, and its part of the others."""
    free, dear = (replace(SPEED, draw={"blobs": seconds}) for seconds in (0.0, 1e-3))
    lengths = [(0, 2000), (0, 4000), (1, 4000)]
    runs = [stacked({"train": {"steps": steps, "device": "cpu"}, "seed": seed}) for seed, steps in lengths]
    found = [stack_shares(runs)[run.run_id] for run in runs]
    drawn = [
        estimate(run, dear, stack_share=c) - estimate(run, free, stack_share=c)
        for run, c in zip(runs, found, strict=True)
    ]
    assert sum(drawn) == pytest.approx(1e-3 * 32 * (4000 + 4000))
    assert drawn == pytest.approx([1e-3 * 32 * steps for steps in (1000, 3000, 4000)])
    sized = [stacked({**BASE, "train": {"steps": 40, "device": "cpu"}, "seed": seed}) for seed in (0, 1)]
    assert {stack_share.drawn for stack_share in stack_shares(sized).values()} == {1.0}


def test_a_worker_draws_fresh_examples_for_the_first_of_its_runs_that_reads_them(monkeypatch):
    """The longest come first; the next ones read what it has drawn, and of two workers each draws its own."""
    models = [{"is": "mlp", "width": width, "depth": 1} for width in (8, 12, 16)]
    runs = [
        planned({"steps": steps, **CPU}, model=model, seed=seed)
        for seed in (0, 1)
        for model, steps in zip(models, (6000, 4000, 2000), strict=True)
    ]
    one, two = (stack_shares(runs, workers=workers) for workers in (1, 2))
    assert [one.get(run.run_id, ALONE).drawn for run in runs] == 2 * [1.0, 0.0, 0.0]
    assert [two.get(run.run_id, ALONE).drawn for run in runs] == 2 * [1.0, 1.0, 0.0]
    assert {share.members for share in one.values()} == {1.0}
    monkeypatch.setattr("scaling.forecast.stacks.affordable", lambda *_, **__: 1 << 20)
    assert stack_shares(runs) == {}


def test_what_a_worker_has_drawn_is_no_more_than_its_longest_run():
    """A stack with a seed that is new to the worker, and one that it has drawn a part of."""
    first = stacked({"train": {"steps": 1000, "device": "cpu"}, "model": {"is": "mlp", "width": 40, "depth": 1}})
    others = [
        stacked({"train": {"steps": steps, "batch": 64, "device": "cpu"}, "seed": s})
        for s, steps in ((0, 800), (1, 900))
    ]
    found = stack_shares([first, *others])
    assert [found.get(run.run_id, ALONE).drawn for run in (first, *others)] == [1.0, pytest.approx(0.375), 1.0]


@pytest.mark.parametrize("stacks", [1, 2])
def test_runs_of_one_shape_are_divided_between_the_workers(stacks):
    runs = [stacked({**BASE, "train": {"steps": 40, "device": "cpu"}, "seed": seed}) for seed in range(8)]
    assert {share.members for share in stack_shares(runs, workers=stacks).values()} == {8 / stacks}


def test_what_is_settled_takes_no_part_in_the_stacks_of_the_rest():
    """Of a sweep that is taken up, neither as members nor as runs for which examples were drawn."""
    runs = [stacked({"train": {"steps": steps, "device": "cpu"}}) for steps in (4000, 3000, 2000, 1000)]
    found = shares_of_the_rest(runs, {runs[0].run_id, runs[1].run_id, runs[2].run_id})
    assert found.get(runs[3].run_id, ALONE) == ALONE
    assert replace(found[runs[0].run_id], beside=0) == stack_shares(runs)[runs[0].run_id] != ALONE
    assert shares_of_the_rest(runs, ()) == stack_shares(runs)


@pytest.mark.parametrize(("kind", "numbers"), [("cpu", {0}), ("cuda", {1})])
def test_the_stacks_of_settled_runs_have_numbers_of_their_own(kind, numbers):
    """Otherwise the time left would take those of one shape for one stack, and be told up to 2.5 times too long."""
    runs = [
        stacked({**BASE, "model": {"is": "mlp", "width": width, "depth": 1}, "seed": seed})
        for width in (8, 12)
        for seed in range(6)
    ]
    settled = {run.run_id for run in runs if run.config.seed < 2}
    found = shares_of_the_rest(runs, settled, kind=kind)
    own = {found[run_id].beside for run_id in settled}
    assert len(own) == (2 if kind == "cpu" else 1)
    assert not own & {0, 1}
    assert {share.beside for run_id, share in found.items() if run_id not in settled} == numbers


def test_drawing_takes_as_long_as_the_settings_of_the_data_make_it():
    """Of a teacher four times as wide; the probe times the default one."""
    free, dear = (replace(SPEED, draw={"teacher": seconds}) for seconds in (0.0, 1e-5))
    small, large = (planned({"steps": 1000, **CPU}, data={"is": "teacher", "width": width}) for width in (64, 256))
    drawn = [estimate(run, dear) - estimate(run, free) for run in (small, large)]
    assert drawn[0] == pytest.approx(32_000 * 1e-5)
    assert 5 * drawn[0] < drawn[1] < 16 * drawn[0]


def here(runs, shared):
    return forecast_all(runs, stack_shares=shared)


def test_the_gain_is_that_of_the_runs_that_can_be_stacked():
    runs = [planned({"steps": 500, **CPU}, seed=seed) for seed in range(8)]
    assert gain_of_stacking(runs, here) is None
    keep_speed(SPEED)
    gain = gain_of_stacking(runs, here)
    assert gain == pytest.approx(estimate(runs[0], SPEED) / estimate(runs[0], SPEED, stack_share=StackShare(8, runs=8)))
    assert gain > 1.3
    assert gain_of_stacking([stacked(BASE)], here) is None


def test_the_gain_on_a_gpu_is_that_of_the_stacks_that_fill_it():
    """Beyond what a stack holds on this machine's kind of device."""
    runs = [planned({"steps": 500, **CPU}, seed=seed) for seed in range(2 * MOST["cpu"])]
    speed = speed_of_card("h100")

    def on_card(runs, shared):
        return {run.run_id: forecast(run, speed, stack_share=shared.get(run.run_id, ALONE)) for run in runs}

    wanted = estimate(runs[0], speed) / estimate(runs[0], speed, stack_share=StackShare(len(runs), runs=len(runs)))
    assert gain_of_stacking(runs, on_card, kind="cuda") == pytest.approx(wanted)
