"""Budget arithmetic: one length is given, whole batches are spent, impossible runs are named."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaling.accounting import Counts
from scaling.config import read_config
from scaling.errors import ImpossibleRun, UserError
from scaling.plan.milestones import milestone_steps
from scaling.plan.quantities import compute_quantities

BASE = {
    "model": {"_target_": "scaling.models.mlp.MLP", "width": 64, "depth": 2},
    "data": {"_target_": "scaling.data.teacher.Teacher", "classes": 10},
    "optim": {"_target_": "scaling.optim.adamw.AdamW", "lr": 1e-3},
    "schedule": {"_target_": "scaling.schedules.constant.Constant"},
    "augment": {"_target_": "scaling.augment.none.Unchanged"},
    "train": {},
    "seed": 0,
}


def config(*, size=None, **train):
    return read_config({**BASE, "data": {**BASE["data"], "size": size}, "train": train})


@given(st.floats(1e8, 1e14), st.integers(1, 4096))
def test_a_budget_is_spent_within_one_batch(budget, batch):
    found = compute_quantities(config(budget=budget, batch=batch)) if budget > 6 * 60_000 * batch else None
    if found is not None:
        assert 0 <= budget - found.C < found.counts.C(batch) * (1 + 1e-9)
        assert found.counts.C(found.D) == found.C


def test_flops_of_a_pass_are_shared_by_its_batch():
    counts = Counts(N=10, N_total=10, N_body=10, N_nonhead=10, forward_flops=20, backward_flops=40, pass_flops=640)
    for batch in (16, 64):
        found = compute_quantities(config(size=128, steps=8, batch=batch), counts=counts)
        assert (found.C, found.C_counted) == (3 * (20 * 8 * batch + 640 * 8), 3 * (20 * 8 * batch + 640 * 8))
    assert compute_quantities(config(size=128, budget=3 * 8 * (20 * 16 + 640), batch=16), counts=counts).steps == 8


def test_the_four_lengths_agree():
    by_steps = compute_quantities(config(size=1280, steps=50))
    for length in ({"examples": 6400}, {"epochs": 5}, {"budget": by_steps.C}):
        assert compute_quantities(config(size=1280, **length)) == by_steps.__class__(
            **{**by_steps.__dict__, "budget": length.get("budget")}
        )
    assert (by_steps.D, by_steps.D_unique, by_steps.epochs) == (6400, 1280, 5.0)


def test_fresh_examples_are_seen_once():
    found = compute_quantities(config(examples=10_000))
    assert found.fresh
    assert (found.D, found.D_unique, found.epochs) == (9984, 9984, 1.0)


@pytest.mark.parametrize(
    ("train", "size", "said"),
    [
        ({}, None, "exactly one of train.examples, train.epochs, train.steps, train.budget"),
        ({"steps": 10, "budget": 1e9}, None, "train.steps=10 and train.budget=1e.09"),
        ({"epochs": 3}, None, "without end"),
        ({"steps": 10, "batch": 512}, 100, "subset of 100 examples"),
        ({"budget": 10.0}, None, "at least one batch"),
        ({"epochs": 30, "max_epochs": 20}, 1280, "at most train.max_epochs=20"),
        ({"steps": -1}, None, "positive"),
        ({"steps": 10}, 0, "positive number of examples"),
    ],
)
def test_what_cannot_be_is_named(train, size, said):
    with pytest.raises(UserError, match=said):
        compute_quantities(config(size=size, **train))


def test_impossible_cells_are_told_from_wrong_sweeps():
    with pytest.raises(ImpossibleRun):
        compute_quantities(config(size=100, steps=10))
    with pytest.raises(UserError) as caught:
        compute_quantities(config(steps=10, budget=1e9))
    assert not isinstance(caught.value, ImpossibleRun)


def test_milestones_in_every_unit_end_with_the_run():
    facts = {"steps": 1000, "batch": 10, "D_unique": 1000, "flops_per_example": 100}
    assert milestone_steps(None, **facts) == (1000,)
    assert milestone_steps([1, 2], **facts) == (100, 200, 1000)
    assert milestone_steps({"unit": "examples", "at": [500]}, **facts) == (50, 1000)
    assert milestone_steps({"unit": "flops", "at": [1e5]}, **facts) == (100, 1000)
    spaced = {"from": 10, "to": 1000, "num": 3, "spacing": "log"}
    assert milestone_steps({"unit": "steps", "at": spaced}, **facts) == (10, 100, 1000)
    geometric = milestone_steps(5, **facts)
    assert len(geometric) == 5
    assert geometric[-1] == 1000


@pytest.mark.parametrize("spec", ["x", 0, True, [0], [2000], 10**20, {"unit": "hours", "at": [1]}, {"at": [1]}])
def test_bad_milestones_are_named(spec):
    with pytest.raises(UserError, match="found"):
        milestone_steps(spec, steps=1000, batch=10, D_unique=1000, flops_per_example=100)
