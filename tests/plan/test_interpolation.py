"""Interpolations mean in every cell of a plan what they mean in the one config that Hydra composes for it."""

from __future__ import annotations

import pytest
from omegaconf import OmegaConf

from scaling.compose.interpolation import Composed
from scaling.compose.session import compose, session
from scaling.errors import UserError
from tests.plan.planning import of, planned, sweep

LINKED = """\
defaults:
  - override /model: bottleneck
train: {batch: "${model.width}", steps: 20}
optim: {weight_decay: "${optim.lr}", beta1: "${oc.env:BETA}"}
model: {depth: "${seed}", expansion: "${.depth}"}
"""


@pytest.mark.slow
def test_every_cell_of_a_file_is_what_hydra_composes_for_it(here):
    sweep(here, LINKED + "sweep: {grid: [{product: {model.width: [8, 16], optim.lr: [0.1, 0.2], seed: [1, 3]}}]}")
    plan = planned("sweep=mine")
    keys = ("train.batch", "optim.weight_decay", "optim.beta1", "model.depth", "model.expansion")
    with session() as loader:
        hydras = [
            compose(loader, ["sweep=mine", *(f"{key}={value}" for key, value in run.overrides.items())])
            for run in plan.runs
        ]
        resolved = [tuple(OmegaConf.select(cfg, key) for key in keys) for cfg in hydras]
    assert len(plan.runs) == 8
    assert of(plan, *keys) == [(*row[:2], float(row[2]), *row[3:]) for row in resolved]


def test_the_command_line_interpolates_as_a_file_does(here):
    plan = planned("model.width=8,16", "train.batch=${model.width}", "train.steps=20", "optim.weight_decay=${optim.lr}")
    assert of(plan, "train.batch", "optim.weight_decay") == [(8, 0.001), (16, 0.001)]
    plan = planned("model.width=8,16", "train.batch=${model.width},4", "train.steps=20")
    assert of(plan, "train.batch") == [(8,), (4,), (16,), (4,)]
    plan = planned("model=linear,bottleneck", "model.width=8", "train.batch=${model.width}", "train.steps=20")
    assert of(plan, "train.batch") == [(8,), (8,)]


def test_values_of_axes_and_of_lists_interpolate(here):
    sweep(
        here,
        """
sweep:
  grid:
    - product: {model.width: [8, 16], train.batch: ["${model.width}", 4], train.steps: ["${oc.decode:${oc.env:N}}"]}
    - list: [{model.width: 32, train.batch: "${model.width}", train.steps: 7}]
    - zip: {model.width: [64], train.batch: "${model.width}", train.steps: 7}
""",
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("N", "20")
        plan = planned("sweep=mine")
    assert of(plan, "train.batch", "train.steps") == [(8, 20), (4, 20), (16, 20), (4, 20), (32, 7), (64, 7)]


def test_resolvers_that_read_a_run_s_keys_resolve_in_each_cell_and_others_before(here):
    sweep(
        here,
        """
train: {steps: 20}
sweep:
  grid:
    - product: {model.width: [8, 16], train.batch: ["${oc.select:model.width}", "${oc.select:${oc.env:KEY},4}"]}
    - list: [{model.width: "${oc.decode:${oc.env:N}}", train.batch: "${oc.select:model.depth}"}]
  set: {optim.lr: "${oc.env:RATE} * model.width"}
""",
    )
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"KEY": "model.width", "N": "32", "RATE": "0.5"}.items():
            patch.setenv(name, value)
        plan = planned("sweep=mine")
    assert of(plan, "model.width", "train.batch", "optim.lr") == [(8, 8, 4.0), (16, 16, 8.0), (32, 2, 16.0)]
    assert plan.runs[-1].overrides["model.width"] == 32


def test_what_set_computes_is_a_source_and_rules_read_what_is_interpolated(here):
    sweep(
        here,
        """
train: {batch: "${model.width}", steps: 20}
optim: {weight_decay: "${optim.lr}"}
sweep:
  grid: [{product: {model.width: [8, 16, 32]}}]
  set: {optim.lr: 1e-3 * batch, optim.eps: "1e-6 * ${optim.weight_decay}"}
  where: ${train.batch} < 32
""",
    )
    plan = planned("sweep=mine")
    rates = [(8e-3,) * 2, (16e-3,) * 2]
    assert of(plan, "optim.lr", "optim.weight_decay") == [pytest.approx(row) for row in rates]
    assert of(plan, "optim.eps") == [pytest.approx((8e-9,)), pytest.approx((16e-9,))]
    assert "train.batch < 32 (train.batch = 32)" in plan.dropped[0].reason


def test_rules_read_texts_as_their_keys_do(here, monkeypatch):
    monkeypatch.setenv("WIDTH", "16")
    sweep(
        here,
        "model: {width: '${oc.env:WIDTH}'}\n"
        "sweep: {grid: [{product: {train.steps: ['9', '100']}}], set: {optim.lr: 1e-3 * width}, where: steps > width}",
    )
    plan = planned("sweep=mine", "train.batch='32'")
    assert of(plan, "model.width", "optim.lr", "train.steps", "train.batch") == [(16, 0.016, 100, 32)]
    assert "steps = 9" in plan.dropped[0].reason
    sweep(here, "train: {steps: 9}\nsweep: {grid: [{product: {model.width: ['16', '9']}}], where: model.width > 10}")
    assert of(planned("sweep=mine"), "model.width") == [(16,)]
    sweep(
        here, "train: {steps: 9}\nsweep: {grid: [{product: {model.width: ['16'], seed: ['9']}}], where: width > seed}"
    )
    assert of(planned("sweep=mine"), "model.width") == [(16,)]


def test_a_rule_that_names_a_group_is_told_its_keys(here):
    sweep(here, "train: {steps: 9}\nsweep: {grid: [{product: {seed: [0]}}], where: model == 'mlp'}")
    with pytest.raises(
        UserError, match=r"found model in an expression of the sweep, .* wanted one of family, model\.width"
    ):
        planned("sweep=mine")


def test_a_stage_resolves_its_own_among_its_parent_s_keys(here):
    sweep(
        here,
        """
train: {steps: 20}
sweep:
  grid: [{product: {model.width: [8, 16]}}]
  stages:
    - name: tuned
      base: {stage: finetune, data.seed: 1, train.steps: 9, train.batch: "${model.width}"}
      grid: [{product: {optim.lr: [0.1, 0.2], optim.weight_decay: ["${optim.lr}"]}}]
      set: {optim.eps: "1e-6 * ${optim.weight_decay}"}
""",
    )
    tuned = [run for run in planned("sweep=mine").runs if run.parent is not None]
    found = [(run.config.train.batch, run.config.optim.weight_decay, run.config.optim.eps) for run in tuned]
    wanted = [(width, lr, 1e-6 * lr) for width in (8, 16) for lr in (0.1, 0.2)]
    assert found == [pytest.approx(row) for row in wanted]


def test_an_interpolation_may_lead_to_what_only_a_cell_has(here):
    sweep(
        here,
        """
defaults: [{override /model: linear}]
train: {steps: 20, batch: "${model.depth}"}
sweep: {grid: [{product: {model: [mlp], model.depth: [2, 3]}}]}
""",
    )
    assert of(planned("sweep=mine"), "train.batch") == [(2,), (3,)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("train: {batch: '${model.wdith}', steps: 5}", "model.wdith"),
        ("train: {batch: '${nosuch:1}', steps: 5}", "nosuch"),
        ("name: w${model.width}\ntrain: {steps: 5}", "found ${model.width} in name"),
        ("results: ${optim.lr}\ntrain: {steps: 5}", "found ${optim.lr} in results"),
        ("launcher: {workers: '${oc.select:model.width}'}\ntrain: {steps: 5}", "found ${model.width} in launcher"),
    ],
)
def test_an_interpolation_that_cannot_be_is_one_sentence(here, text, said):
    sweep(here, text + "\nsweep: {grid: [{product: {model.width: [8, 16]}}], set: {optim.lr: 1 / width}}")
    with pytest.raises(UserError) as caught:
        planned("sweep=mine")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "rule", ["set: {optim.lr: '${oc.select:model.width} / 9'}", "where: '${oc.select:seed,1} > 0'"]
)
def test_a_rule_names_keys_and_resolves_none(here, rule):
    sweep(here, f"train: {{steps: 5}}\nsweep: {{grid: [{{product: {{model.width: [8, 16]}}}}], {rule}}}")
    with pytest.raises(UserError, match=r"differs from run to run; wanted names of keys"):
        planned("sweep=mine")


def test_the_plan_s_own_keys_may_follow_what_all_runs_share(here):
    assert planned("model.width=24", "train.steps=5", "seed=0,1", "name=w${model.width}").name == "w24"


WRITTEN = ["${a}", "x${a}", "${a} ${b.n}", "${ a }", "${b.m}", "\\${a}", "${a.p}", ["${a}", {"z": "y_${b.n}"}], "${b}"]
VALUES = [1, 1e-4, 1e20, 0.1 + 0.2, True, None, "x y", "1e3", "", [1, 2], {"p": 1, "q": [None]}, "${b.n}", "n${b.n}"]


@pytest.mark.parametrize("written", WRITTEN)
def test_what_is_followed_without_a_parser_is_what_omegaconf_finds(written):
    for value in VALUES if written != "${a.p}" else [{"p": 1, "q": [None]}]:
        keys = {"a": value, "b": {"n": 7, "m": "${a}"}, "w": written}
        theirs = OmegaConf.create(keys).w
        wanted = OmegaConf.to_container(theirs, resolve=True) if OmegaConf.is_config(theirs) else theirs
        assert repr(Composed(keys).resolved({"w": written})["w"]) == repr(wanted)
