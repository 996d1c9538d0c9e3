"""Every sweep of the paper is planned without its data, and the plans do not move unnoticed."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import pytest

from scaling.compose.session import session
from scaling.plan.expand import expand
from tests.default_cases import default_cases

SWEEPS = Path(__file__).parents[2] / "sweeps"
NAMES = sorted(path.relative_to(SWEEPS).with_suffix("").as_posix() for path in SWEEPS.glob("paper*/*.yaml"))
PINNED = json.loads((Path(__file__).parent / "plans.json").read_text())
"""Runs and total FLOPs of each sweep: by name, [runs, C]. A sweep that is changed on purpose changes its line."""


@cache
def plan(name):
    with pytest.MonkeyPatch.context() as patch, session() as loader:
        patch.delenv("SCALING_DATA", raising=False)
        return expand(loader, [f"sweep={name}"])


def test_every_sweep_is_pinned():
    assert sorted(PINNED) == NAMES


@pytest.mark.parametrize(
    "name", default_cases(NAMES, "paper/pretrain_scaling", "paper/batch_size", "paper_small/depth_width")
)
def test_a_sweep_plans_to_its_pinned_runs_and_compute(name):
    runs = plan(name).runs
    assert [len(runs), sum(run.quantities.C for run in runs)] == PINNED[name]


@pytest.mark.parametrize("name", NAMES)
def test_a_sweep_says_what_it_is_for_and_what_it_costs(name):
    head = [line for line in (SWEEPS / f"{name}.yaml").read_text().splitlines() if line.startswith("#")]
    assert head[0].startswith(f"# {name}: ")
    words = {"Purpose", "Cost", "Paper", "Small"} if name.startswith("paper/") else {"Purpose", "Cost", "Twin of"}
    for word in words:
        [line] = [line for line in head if line.startswith(f"# {word} ")]
        assert "COST" not in line


def test_every_sweep_has_a_twin():
    own = {name.partition("/")[2] for name in NAMES if name.startswith("paper/")}
    assert own == {name.partition("/")[2] for name in NAMES if name.startswith("paper_small/")}


@pytest.mark.slow
def test_the_probes_start_from_the_runs_of_the_scaling_sweep():
    trained = {run.run_id for run in plan("paper/pretrain_scaling").runs}
    assert trained == {run.run_id for run in plan("paper/linear_probe").runs if run.config.parent is None}


def test_one_run_gives_the_five_lengths():
    for run in plan("paper/pretrain_scaling").runs:
        epochs = [step * run.quantities.batch / run.quantities.D_unique for step in run.quantities.milestones]
        assert epochs == pytest.approx([50, 100, 200, 400, 800], rel=0.01)


@pytest.mark.slow
def test_components_are_compared_at_equal_compute():
    for name in ("paper/ablation", "paper_small/ablation"):
        C = [run.quantities.C for run in plan(name).runs]
        assert max(C) < 1.02 * min(C)


def test_families_are_compared_at_equal_weights():
    for name in ("paper/standard_vs_bottleneck", "paper_small/standard_vs_bottleneck"):
        sizes = {}
        for run in plan(name).runs:
            sizes.setdefault(run.config.model.family, set()).add(run.quantities.counts.N)
        for one, other in zip(sorted(sizes["mlp"]), sorted(sizes["bottleneck"]), strict=True):
            assert one == pytest.approx(other, rel=0.15)
