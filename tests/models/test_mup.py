"""The maximal update parametrisation: at its base it is the standard one; beyond it, steps move outputs alike."""

from __future__ import annotations

import pytest
import torch

from scaling.errors import UserError
from scaling.forecast.activations import activation_scales
from scaling.models.bottleneck import Bottleneck
from scaling.models.mlp import MLP
from scaling.models.mup import rate_shares
from scaling.optim.adamw import AdamW
from scaling.optim.sgd import SGD
from scaling.train.run import train_run
from tests.train.runs import essence, folder_of, planned

SHAPE = {"is": "mlp", "depth": 1, "width": 16}
MUP = {"param": "mup", "base_width": 16}


def build(model, outputs=3):
    return model.build((6,), outputs, torch.Generator().manual_seed(0))


@pytest.mark.parametrize("head", ["zero", "uniform"])
def test_at_its_base_a_model_is_the_standard_one(head):
    ours, standard = (build(MLP(width=16, depth=2, head_start=head, **keys)) for keys in (MUP, {}))
    assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), standard.parameters(), strict=True))
    assert set(rate_shares(ours, sgd=False).values()) == set(rate_shares(ours, sgd=True).values()) == {1.0}


@pytest.mark.parametrize(
    ("sgd", "embed", "hidden", "head", "vector"), [(False, 1, 1 / 4, 1 / 4, 1), (True, 4, 1, 1 / 4, 4)]
)
def test_rates_are_those_of_the_paper(sgd, embed, hidden, head, vector):
    net = build(MLP(width=64, depth=1, **MUP))
    shares = rate_shares(net, sgd=sgd)
    block = net.blocks[0].branch
    assert shares[net.embed.weight] == embed
    assert shares[net.embed.bias] == shares[block[0].weight] == shares[block[1].bias] == vector
    assert shares[block[1].weight] == hidden
    assert (shares[net.head.weight], shares[net.head.bias]) == (head, 1)


@pytest.mark.parametrize("optim", [AdamW(lr=0.1, weight_decay=0.2), SGD(lr=0.1, weight_decay=0.2)])
def test_weights_decay_as_strongly_at_every_width(optim):
    groups = optim.build(build(MLP(width=64, depth=1, **MUP))).param_groups
    strengths = {round(group["share"] * group.get("decay", group["weight_decay"]), 12) for group in groups}
    assert strengths == {0.2, 0.0}


def test_depth_scales_the_branches_of_blocks_that_add():
    x = torch.randn(5, 8, generator=torch.Generator().manual_seed(1))
    keys = {"width": 8, "expansion": 2, "param": "mup", "base_width": 8}
    shallow, deep = (build(Bottleneck(depth=d, base_depth=2, **keys)).blocks[0] for d in (2, 8))
    torch.testing.assert_close(deep(x) - x, (shallow(x) - x) / 4)
    with pytest.raises(UserError, match="base_depth"):
        MLP(width=8, depth=2, base_depth=2, **MUP)


def test_what_is_missing_or_would_do_nothing_is_refused():
    with pytest.raises(UserError, match=r"without model\.base_width"):
        MLP(width=8, depth=2, param="mup")
    with pytest.raises(UserError, match="reads none"):
        MLP(width=8, depth=2, base_width=8)


def test_ids_of_standard_models_are_as_they_were():
    plain, said, mup = (planned({"steps": 5}, model={**SHAPE, **keys}) for keys in ({}, {"param": "standard"}, MUP))
    assert said.run_id == plain.run_id != mup.run_id


def moved(width, **model):
    run = planned({"steps": 8}, model={**SHAPE, "width": width, **model}, optim={"is": "adamw", "lr": 0.02})
    found = activation_scales(run, steps=8, device="cpu")
    assert [one.step for one in found if one.layer == "head"] == [0, 1, 2, 4, 8]
    return {one.layer: one.change for one in found}


def test_steps_move_wide_models_as_far_as_narrow_ones():
    narrow, wide, standard = moved(16, **MUP), moved(256, **MUP), moved(256)
    assert wide["block 1"] < 2 * narrow["block 1"]
    assert standard["block 1"] > 4 * narrow["block 1"]


def test_it_is_trained_stopped_and_continued_like_any_model(tmp_path):
    run = planned({"steps": 20}, model={**SHAPE, "width": 32, **MUP})
    assert len({str(essence(train_run(run, folder_of(run, tmp_path / name), device="cpu"))) for name in "ab"}) == 1
