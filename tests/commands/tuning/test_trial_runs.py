"""What follows a tuned key follows each value that is tried."""

from __future__ import annotations

from dataclasses import replace

import pytest

from scaling.commands.tuning.run_groups import group_runs
from scaling.commands.tuning.trial_runs import TrialPlanner
from scaling.compose.session import session
from scaling.errors import UserError
from scaling.folders import SweepFolder
from scaling.plan.expand import expand
from scaling.tune import Effort, Range, open_searches

SWEEP = """\
# Widths, tuned.
optim: {{weight_decay: "{decay}"}}
sweep:
  grid: [{{product: {{model.width: [8, 16], train.steps: [2], seed: [0, 1]}}}}]
  {rules}
"""
LR = [Range("optim.lr", 1e-3, 1e-1)]


@pytest.fixture
def proposals(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sweeps").mkdir()

    def propose(decay, rules=""):
        (tmp_path / "sweeps" / "mine.yaml").write_text(SWEEP.format(decay=decay, rules=rules))
        with session() as loader:
            plan = expand(loader, ["sweep=mine"])
        groups = group_runs(plan.runs, (), ["optim.lr"])
        searches = open_searches(SweepFolder(tmp_path, "studies"), LR, groups, seed=0)
        each = [search.next(Effort(4, 4)) for search in searches.values()]
        found = [proposal for proposals in each for proposal in proposals]
        return found, TrialPlanner(plan, ["optim.lr"])

    return propose


def rates(found):
    return [(run.config.optim.lr, run.config.optim.weight_decay) for one in found for run in one.runs]


@pytest.mark.parametrize(
    ("decay", "rules", "factor"), [("${optim.lr}", "", 1), ("0.1", "set: {optim.weight_decay: 2 * lr}", 2)]
)
def test_what_depends_on_the_key_follows_each_value(proposals, decay, rules, factor):
    before, planner = proposals(decay, rules)
    found = planner.planned(before)
    assert len({lr for lr, _ in rates(found)}) == 8
    assert all(weight_decay == pytest.approx(factor * lr) for lr, weight_decay in rates(found))
    assert [one.trial for one in found] == [one.trial for one in before]
    assert [run.overrides for one in found for run in one.runs] == [run.overrides for one in before for run in one.runs]


def test_where_nothing_depends_on_it_the_runs_are_those_with_the_key_changed(proposals):
    before, planner = proposals("0.1")
    assert planner.planned(before) == before


def test_a_value_that_the_sweep_drops_is_named(proposals):
    before, planner = proposals("${optim.lr}", "where: lr < 0.02 or width > 8")
    with pytest.raises(UserError, match=r"found no run of the sweep with optim.lr=.* at model.width=8"):
        planner.planned(before)


def test_where_a_range_was_widened_values_that_the_sweep_drops_are_left_without_runs(proposals):
    before, planner = proposals("${optim.lr}", "where: lr < 1")
    far = [replace(one, beyond=True, values={"optim.lr": lr}) for one, lr in zip(before, (2.0, 0.5), strict=False)]
    assert [len(one.runs) for one in planner.planned(far)] == [0, 2]
