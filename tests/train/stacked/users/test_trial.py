"""A stack of users' modules is what each of them is by itself, or is not made."""

from __future__ import annotations

import pytest
import torch

from scaling.train.stacked.rows import Rows, layout_of
from scaling.train.stacked.users.trial import is_mapped
from scaling.train.stacked.users.vmapped import NotStackable
from tests.often import often
from tests.train import nets
from tests.train.runs import essence
from tests.train.stacked.stacks import alone, losses, records, stacked
from tests.train.stacked.test_against_single import ROUNDING

KINDS = {  # of `nets.layered`: whether vmap is needed
    "plain": False,
    "used twice": True,
    "tied": True,
    "hooked": True,
    "another forward": True,
    "out of training": True,
}
SHAPE, CLASSES = (6,), 3


def tried(make, **keys) -> bool:
    """Whether four modules, of seeds of their own, are mapped."""
    modules = []
    for seed in range(4):
        torch.manual_seed(seed)
        modules.append(make(SHAPE, CLASSES, **keys).train())
    rows = Rows(layout_of(modules[0], body_share=1.0), modules)
    before = [{name: value.clone() for name, value in module.state_dict().items()} for module in modules]
    found = is_mapped(modules, rows, torch.randn(8, *SHAPE), CLASSES)
    for row, (module, state) in enumerate(zip(modules, before, strict=True)):
        assert all(torch.equal(value, state[name]) for name, value in module.state_dict().items())
        assert all(torch.equal(value, state[name]) for name, value in rows.state(row).items())
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_layers_that_are_more_than_their_types_go_through_vmap(kind):
    assert tried(nets.layered, kind=kind) == KINDS[kind]


@pytest.mark.parametrize(
    ("make", "keys", "why"),
    [
        (nets.layered, {"kind": "hooked backward"}, "something else"),
        (nets.Annealed, {}, "none of its buffers while it computes: steps"),
        (nets.Shifted, {}, "something else"),
    ],
)
def test_what_vmap_would_compute_otherwise_is_refused(make, keys, why):
    with pytest.raises(NotStackable, match=why):
        tried(make, **keys)


def model(kind: str) -> dict:
    return {"is": "custom", "module": "tests.train.nets.layered", "kwargs": {"kind": kind}}


@pytest.mark.parametrize("kind", often([*KINDS, "hooked backward"], "tied"))
def test_members_are_the_runs_trained_alone(kind, tmp_path):
    """SGD, for AdamW sees no factor of a gradient."""
    keys = [
        {"train": {"steps": 40}, "model": model(kind), "seed": seed, "optim": {"is": "sgd", "lr": 0.1}}
        for seed in (0, 1)
    ]
    runs = [stacked(each) for each in keys]
    try:
        found = records(runs, tmp_path)
    except NotStackable:
        assert kind == "hooked backward"
        return
    for record, each in zip(found, keys, strict=True):
        assert losses(record) == pytest.approx(losses(alone(each, tmp_path)), rel=ROUNDING)


def test_what_stays_out_of_training_does_so_however_often_it_is_evaluated(tmp_path):
    one, five = (
        alone({"train": {"steps": 30, "milestones": n}, "model": model("out of training")}, tmp_path / str(n))
        for n in (1, 5)
    )
    assert essence(one)["points"][-1] == essence(five)["points"][-1]
