"""A member of a stack is the run that is trained alone, but for rounding."""

from __future__ import annotations

import pytest

from tests.default_cases import default_cases
from tests.train.runs import essence
from tests.train.stacked.stacks import alone, losses, records, stacked

ROUNDING = 2e-5  # relative, of losses after some hundred steps in float32: what a stack may differ from a run alone by
SIZED, PIXELS = {"is": "blobs", "size": 500}, {"is": "blobs", "size": 600, "pixels": True}
DEEP = {"is": "bottleneck", "width": 12, "depth": 2}


def optimised(name: str, **keys) -> list[dict]:
    """Members that differ in rate, decay, seed and length."""
    rates = ((0.01, 0.0, 60), (0.003, 0.1, 90), (0.02, 0.3, 40))
    return [
        {
            "train": {"steps": steps, "milestones": 2},
            "optim": {"is": name, "lr": lr, "weight_decay": decay, **keys},
            "seed": seed,
        }
        for seed, (lr, decay, steps) in enumerate(rates)
    ]


def seeded(train: dict, **keys) -> list[dict]:
    return [{"train": train, "seed": seed, **keys} for seed in range(3)]


BETAS = [
    {"train": {"steps": 50}, "seed": 1, "optim": {"is": "adamw", "lr": 0.01, "beta1": beta1, "beta2": beta2}}
    for beta1, beta2 in ((0.9, 0.999), (0.8, 0.95), (0.0, 0.99))
]
LIONS = [
    {**keys, "optim": {**keys["optim"], "beta1": beta1, "beta2": beta2}}
    for keys, beta1, beta2 in zip(optimised("lion"), (0.9, 0.8, 0.5), (0.99, 0.95, 0.9), strict=True)
]
SETTINGS = [
    {"train": {"steps": 60, "clip": clip, "label_smoothing": smoothing}, "data": data, "seed": seed}
    for seed, (clip, smoothing, data) in enumerate(
        ((None, 0.0, SIZED), (0.5, 0.1, {**SIZED, "size": 200}), (0.1, 0.3, {**SIZED, "seed": 4}))
    )
]
MIXED = [{"train": {"steps": 40}, "data": PIXELS, "augment": {"is": "standard", "mixup": a}} for a in (0.8, 0.0, 0.3)]
WIDE = {"is": "bottleneck", "width": 16, "depth": 4, "param": "mup", "base_width": 8, "base_depth": 2}
CHEAP = {
    "adamw": optimised("adamw"),
    "lion": LIONS,
    "sgd": optimised("sgd", momentum=0.9),
    "settings": SETTINGS,
    "dropout": seeded({"steps": 40}, model={**DEEP, "dropout": 0.2}, data=SIZED),
    "mixed": MIXED,
    "mup": [{**keys, "model": WIDE} for keys in optimised("adamw")],
}
DEAR = {
    "nesterov": optimised("sgd", momentum=0.8, nesterov=True),
    "plain sgd": optimised("sgd"),
    "mup sgd": [{**keys, "model": WIDE} for keys in optimised("sgd")],
    "betas": BETAS,
    "body share": seeded({"steps": 60}, optim={"is": "adamw", "lr": 0.01, "body_share": 0.3, "weight_decay": 0.1}),
    "constant": seeded({"steps": 80}, schedule="constant", model=DEEP),
    "crops": seeded({"steps": 40}, data=PIXELS, augment={"is": "standard", "mixup": 0.0}),
    "parts": seeded({"steps": 40, "micro_batch": 12, "label_smoothing": 0.1}, data=PIXELS, augment="standard"),
    "regression": seeded({"steps": 80}, data="line"),
    "linear": seeded({"steps": 50}, model={"is": "linear", "width": 4}, data="line", optim={"is": "sgd", "lr": 0.1}),
    "no norm": seeded({"steps": 60}, model={**DEEP, "norm": "none", "bias": False}),
    "behind": seeded({"steps": 60}, model={**DEEP, "place": "post"}),
    "a user's": seeded({"steps": 60}, model={"is": "custom", "module": "tests.train.nets.Net"}),
    "a single number": seeded({"steps": 60}, model={"is": "custom", "module": "tests.train.nets.Tempered"}),
    "half frozen": seeded({"steps": 60}, model={"is": "custom", "module": "tests.train.nets.HalfFrozen"}),
}


def check(members: list[dict], tmp_path, *, rel: float) -> None:
    runs = [stacked(keys) for keys in members]
    assert len({run.run_id for run in runs} | {stacked(keys, engine="eager").run_id for keys in members}) == 6
    for keys, record in zip(members, records(runs, tmp_path / "together"), strict=True):
        wanted = alone(keys, tmp_path / "alone")
        assert (record.status, record.flags, record.how["stack"]) == (wanted.status, wanted.flags, 3)
        assert [point.step for point in record.points] == [point.step for point in wanted.points]
        assert losses(record) == pytest.approx(losses(wanted), rel=rel)


@pytest.mark.parametrize("case", default_cases(CHEAP, "adamw", "mixed", "dropout"))
def test_a_member_is_the_run_trained_alone(case, tmp_path):
    check(CHEAP[case], tmp_path, rel=ROUNDING)


@pytest.mark.slow
@pytest.mark.parametrize("case", DEAR)
def test_a_member_is_the_run_trained_alone_here_too(case, tmp_path):
    check(DEAR[case], tmp_path, rel=ROUNDING)


@pytest.mark.parametrize("shares", [(0.0, 0.3), pytest.param((0.3, 1.0), marks=pytest.mark.slow)])
def test_a_dropout_that_leaves_out_nothing_or_all_draws_nothing(shares, tmp_path):
    module = {"is": "custom", "module": "tests.train.nets.dropping_layers", "kwargs": {"shares": list(shares)}}
    check(seeded({"steps": 40}, model=module, data=SIZED), tmp_path, rel=ROUNDING)


@pytest.mark.slow
@pytest.mark.parametrize(
    "model",
    [
        {"is": "mlp", "width": 12, "depth": 2, "norm": "batch"},
        {"is": "mlp", "width": 12, "depth": 2, "norm": "batch", "dropout": 0.1},
        {"is": "custom", "module": "tests.train.nets.Convolving"},
    ],
    ids=str,
)
def test_batch_norms_have_the_statistics_of_their_own_member(model, tmp_path):
    """Also when the first one leaves. They divide by the deviations of a batch of 32, so that rounding grows."""
    members = [{**keys, "train": {"steps": 20 + 10 * i}} for i, keys in enumerate(seeded({}, model=model, data=PIXELS))]
    check(members, tmp_path, rel=5e-3)


def test_bf16_is_the_same_to_its_own_rounding(tmp_path):
    check(seeded({"steps": 40, "precision": "bf16"}), tmp_path, rel=3e-2)


@pytest.mark.slow
def test_the_same_stack_twice_has_the_same_bits(tmp_path):
    runs = [stacked(keys) for keys in CHEAP["adamw"]]
    first, again = (records(runs, tmp_path / name) for name in "ab")
    assert [essence(record) for record in first] == [essence(record) for record in again]


def test_a_member_does_not_depend_on_its_company(tmp_path):
    runs = [stacked(keys) for keys in (*CHEAP["lion"], *optimised("lion", beta1=0.8))]
    [first, *_] = records(runs, tmp_path / "six")
    [single] = records(runs[:1], tmp_path / "one")
    assert losses(first) == pytest.approx(losses(single), rel=ROUNDING)
