"""The configs that a grid starts from: composed without Hydra's own config, they are what Hydra composes."""

from __future__ import annotations

import pytest
from omegaconf import OmegaConf

from scaling.compose.groups import Composer, GroupConfigs
from scaling.compose.interpolation import PLAN_KEYS as PLAN
from scaling.compose.session import compose, session
from scaling.errors import UserError
from tests.default_cases import default_cases

SWEEP = """\
defaults:
  - override /model: bottleneck
  - override /recipe: pretrain
model: {depth: 3}
optim: {lr: 0.5}
sweep: {grid: [{product: {data: [digits, mnist1d]}}]}
"""
CHOICES = [
    ["model=B-6/Wi-1024", "data=digits", "optim.lr=0.25"],
    ["sweep=paper/from_scratch", "model=S-6/Wi-256", "data=cifar100"],
    ["sweep=mine", "data=mnist1d", "augment=crop_flip", "train.batch=64"],
    ["recipe=finetune", "stage=finetune", "parent.run_id=abc"],
    ["train.steps=10", "model=named"],
    ["model.width=16", "hydra.verbose=true"],
    ["sweep=mine", "hydra/help=default"],
]


@pytest.fixture
def loader(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sweeps").mkdir()
    (tmp_path / "sweeps" / "mine.yaml").write_text(SWEEP)
    (tmp_path / "conf" / "model").mkdir(parents=True)
    # A key that only Hydra's own config can fill in.
    (tmp_path / "conf" / "model" / "named.yaml").write_text("note: ${hydra.runtime.choices.model}\n")
    with session() as opened:
        yield opened


def plain_keys(cfg):
    """Return all keys of a composed config but Hydra's own, interpolations resolved."""
    return {key: value for key, value in OmegaConf.to_container(cfg, resolve=True).items() if key != "hydra"}


@pytest.mark.parametrize("choices", default_cases([CHOICES[1:3], CHOICES], CHOICES[1:3]), ids=["some", "all"])
def test_a_config_is_what_hydra_composes_in_any_order(loader, choices):
    ours = Composer(loader)
    both = [(overrides, plain_keys(compose(loader, overrides))) for overrides in choices]
    for overrides, hydras in [*both, *reversed(both)]:
        composed = ours(overrides)
        assert {
            **composed.resolved(composed.run),
            **{key: composed.of_plan(key) for key in PLAN if key in hydras},
        } == hydras
    assert set(composed.run) == set(hydras) - set(PLAN)


@pytest.mark.slow
def test_a_wrong_choice_is_told_as_by_hydra(loader):
    for wrong in (["model=mpl"], ["model.widht=3"], ["sweep=none"]):
        with pytest.raises(UserError) as ours:
            Composer(loader)(wrong)
        with pytest.raises(UserError) as hydras:
            compose(loader, wrong)
        assert str(ours.value) == str(hydras.value)


def test_a_choice_takes_the_place_of_what_is_fixed(loader):
    configs = GroupConfigs(Composer(loader), ["model=mlp", "seed=3"])
    config = configs((("model", "bottleneck"),)).run
    assert (config["model"]["_target_"].rpartition(".")[2], config["seed"]) == ("Bottleneck", 3)
    assert configs((("model", "bottleneck"),)) is configs((("model", "bottleneck"),))
