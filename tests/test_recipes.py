"""The reference paper's recipes and names: what they set, and who overrules whom."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from scaling.augment.none import Unchanged
from scaling.augment.standard import Standard
from scaling.compose.session import session
from scaling.errors import UserError
from scaling.plan.expand import expand

RECIPES = {  # of "Scaling MLPs": optimiser, lr, weight decay, batch, epochs, augmentation
    "from_scratch": ("lion", 5e-5, 0.0, 4_096, 1000, Standard()),
    "pretrain": ("lion", 5e-5, 0.0, 16_384, 800, Standard()),
    "pretrain_scaling": ("lion", 1e-5, 1e-3, 16_384, 800, Standard()),
    "finetune": ("sgd", 1e-2, 1e-4, 2_048, 50, Standard(scale=(0.4, 1.0), mixup=0)),
    "finetune_released": ("sgd", 1e-2, 0.0, 2_048, 100, Standard(scale=(0.4, 1.0), ratio=(1.0, 1.0), mixup=0)),
    "linear_probe": ("lion", 1e-5, 0.0, 4_096, 50, Unchanged()),
}
SWEEP = """\
# @package _global_
defaults:
  - override /recipe: pretrain
  - override /optim: sgd
train: {epochs: null, steps: 2, batch: 64}
sweep:
  grid:
    - product: {model: [B-2/Wi-8, S-3/Wi-12], data: [cifar10]}
"""


@pytest.fixture
def plan(tmp_path, monkeypatch):
    """Plan in a folder of its own, whose sweeps/mine.yaml is SWEEP."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sweeps").mkdir()
    (tmp_path / "sweeps" / "mine.yaml").write_text(SWEEP)

    def planned(*arguments):
        with session() as loader:
            return expand(loader, arguments).runs

    return planned


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_is_the_paper_s(recipe, plan):
    [run] = plan(f"recipe={recipe}", "data=cifar100", "model=B-6/Wi-64")
    optim, lr, decay, batch, epochs, augment = RECIPES[recipe]
    row, found = SimpleNamespace(**run.row()), run.config.optim
    assert (found.name, found.lr, found.weight_decay) == (optim, lr, decay)
    assert (row.batch, row.epochs, row.schedule) == (batch, pytest.approx(epochs, rel=1e-3), "constant")
    assert (row.label_smoothing, row.precision) == (0.3, "tf32")
    assert run.config.augment == augment


def test_pre_training_is_planned_without_its_data(plan):
    [run] = plan("recipe=pretrain", "data=imagenet21k", "model=bottleneck", "model.width=1024", "model.depth=12")
    assert run.quantities.counts.N_total == 124_843_998
    assert run.quantities.batch == 16_384
    [same] = plan("recipe=pretrain", "data=imagenet21k", "model=B-12/Wi-1024", "train.epochs=800")
    assert same.run_id == run.run_id


def test_one_long_run_gives_the_points_of_shorter_ones(plan):
    [run] = plan("recipe=pretrain_scaling", "data=imagenet21k", "model=B-6/Wi-256")
    epochs = [step * 16_384 / 11_801_680 for step in run.quantities.milestones]
    assert epochs == pytest.approx([50, 100, 200, 400, 800], rel=1e-3)


def test_a_sweep_overrules_its_recipe_and_the_command_line_both(plan):
    runs = plan("sweep=mine")
    assert {run.config.optim.name for run in runs} == {"sgd"}
    assert {run.config.augment.name for run in runs} == {"standard"}
    assert {(run.config.model.family, run.config.model.depth, run.config.model.width) for run in runs} == {
        ("bottleneck", 2, 8),
        ("mlp", 3, 12),
    }
    assert {run.quantities.D for run in runs} == {128}
    again = plan("sweep=mine", "train.batch=32", "recipe=finetune")
    assert {run.quantities.D for run in again} == {64}
    assert {run.config.augment.mixup for run in again} == {0.0}


def test_the_rest_of_a_named_model_can_be_set(plan):
    [run] = plan("model=B-3/Wi-16", "model.expansion=2", "train.steps=1")
    assert (run.config.model.depth, run.config.model.expansion) == (3, 2)


@pytest.mark.parametrize("name", ["B-x/Wi-2", "C-3/Wi-4", "B-3/Wi-0"])
def test_a_name_that_is_none_says_how_they_go(name, plan):
    with pytest.raises(UserError, match="such as B-12/Wi-1024"):
        plan(f"model={name}", "train.steps=1")
