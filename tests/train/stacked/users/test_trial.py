"""A stack of users' modules is what each of them is by itself, or is not made."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import pytest
import torch
from torch.nn import functional

from scaling.augment.mixed import Mixed
from scaling.models.mlp import MLP
from scaling.optim.adamw import AdamW
from scaling.train.precision import matmul_precision
from scaling.train.stacked.rows import Rows, layout_of
from scaling.train.stacked.users.trial import check_stackable_augmentation, needs_vmap
from scaling.train.stacked.users.vmapped import NotStackable
from tests.default_cases import default_cases
from tests.train import nets
from tests.train.runs import TARGETS, essence
from tests.train.stacked.stacks import alone, losses, records, stacked, together
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
    found = needs_vmap(modules, rows, torch.randn(8, *SHAPE), CLASSES)
    for row, (module, state) in enumerate(zip(modules, before, strict=True)):
        assert all(torch.equal(value, state[name]) for name, value in module.state_dict().items())
        assert all(torch.equal(value, state[name]) for name, value in rows.state(row).items())
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_layers_that_are_more_than_their_types_go_through_vmap(kind):
    assert tried(nets.layered, kind=kind) == KINDS[kind]


def other_layers(shape, outputs):
    """A family here, with a layer that it has not."""
    module = MLP(width=8, depth=1).build(shape, outputs, torch.Generator().manual_seed(torch.initial_seed()))
    module.blocks[0].branch[2] = torch.nn.Tanh()
    return module


def test_a_parameter_may_be_a_single_number():
    assert tried(nets.Tempered)


def test_a_family_with_another_layer_goes_through_vmap():
    assert tried(other_layers)


def test_modules_are_compared_in_full_precision():
    seen = set()

    class Rounding(nets.Net):
        def forward(self, x):
            seen.add(torch.get_float32_matmul_precision())
            return super().forward(x)

    with matmul_precision("tf32"):
        assert tried(Rounding)
        assert torch.get_float32_matmul_precision() == "high"
    assert seen == {"highest"}


class Tamed(AdamW):
    """An optimiser of a user's, who did not give it a name."""


def test_an_optimiser_without_a_stacked_form_is_said_and_not_tried(tmp_path):
    runs = [stacked({"train": {"steps": 5}, "seed": seed}) for seed in (0, 1)]
    optim = Tamed(lr=0.01)
    changed = [replace(run, config=replace(run.config, optim=optim)) for run in runs]
    with pytest.raises(NotStackable, match="Tamed has no stacked form"):
        together(changed, tmp_path)


def drawn(x, y, generator):
    return x + torch.randn(x.shape, generator=generator), y


def drawn_from_all(x, y, generator):
    return x + torch.randn_like(x), y


class Fading:
    """Less noise from batch to batch."""

    noise = 1.0

    def __call__(self, x, y, generator):
        self.noise = 0.9 * self.noise
        return x + self.noise, y


def test_augmentations_of_users_have_the_streams_of_each_member():
    x, y = torch.zeros(9, *SHAPE), torch.zeros(9, dtype=torch.int64)
    check_stackable_augmentation(drawn, x, y)
    with pytest.raises(NotStackable, match="global random streams"):
        check_stackable_augmentation(drawn_from_all, x, y)
    with pytest.raises(NotStackable, match="changes itself"):
        check_stackable_augmentation(Fading(), x, y)
    check_stackable_augmentation(None, x, y)
    with pytest.raises(NotStackable, match="shares of classes"):
        check_stackable_augmentation(lambda x, y, generator: (x, functional.one_hot(y, 3).float()), x, y)


@dataclass(frozen=True)
class SometimesMixed:
    """Mixes every other batch."""

    name: ClassVar[str] = "sometimes mixed"

    def check(self, data) -> None:
        pass

    def build(self, shape, outputs):
        def augment(x, y, generator):
            share = torch.rand((), generator=generator)
            mixed = torch.rand((), generator=generator) < 0.5
            return (torch.lerp(x.roll(1, 0), x, share), Mixed(y, y.roll(1, 0), share)) if mixed else (x, y)

        return augment


def test_members_may_each_mix_or_not(tmp_path, monkeypatch):
    monkeypatch.setitem(TARGETS, "sometimes", f"{__name__}.SometimesMixed")
    members = [{"train": {"steps": 30}, "augment": "sometimes", "seed": seed} for seed in range(3)]
    for keys, record in zip(members, records([stacked(keys) for keys in members], tmp_path), strict=True):
        assert record.how["stack"] == 3
        assert losses(record) == pytest.approx(losses(alone(keys, tmp_path / "alone")), rel=ROUNDING)


@pytest.mark.parametrize(
    ("name", "keys", "why"),
    [
        ("Lazy", {}, "Lazy makes parameters when it sees its first batch"),
        ("Extra", {}, "Extra has more than tensors in its state_dict"),
        ("Renamed", {}, "Renamed has a state_dict of its own, without the names of its parameters"),
        ("layered", {"kind": "hooked late"}, "Sequential has hooks that change its gradients"),
    ],
)
def test_what_is_known_without_a_trial_is_trained_alone(name, keys, why, tmp_path):
    kind = {"is": "custom", "module": f"tests.train.nets.{name}", "kwargs": keys}
    each = {"train": {"steps": 20}, "model": kind, "optim": {"is": "sgd", "lr": 0.1}}
    with pytest.raises(NotStackable, match=why):
        together([stacked({**each, "seed": seed}) for seed in (0, 1)], tmp_path)
    assert alone(each, tmp_path / "alone").status == "finished"


@pytest.mark.parametrize(
    ("make", "keys", "why"),
    [
        (nets.layered, {"kind": "hooked backward"}, "something else"),
        (nets.Annealed, {}, "none of its buffers while it computes: steps"),
        (nets.Shifted, {}, "something else"),
        (nets.Averaged, {}, "replaces mean by a new tensor"),
    ],
)
def test_what_vmap_would_compute_otherwise_is_refused(make, keys, why):
    with pytest.raises(NotStackable, match=why):
        tried(make, **keys)


def model(kind: str) -> dict:
    return {"is": "custom", "module": "tests.train.nets.layered", "kwargs": {"kind": kind}}


@pytest.mark.parametrize("kind", default_cases([*KINDS, "hooked backward"], "tied"))
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
