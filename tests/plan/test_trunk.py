"""One trunk, many lengths: which runs share their first steps, what that saves, and that ids stay."""

from __future__ import annotations

import pytest

from scaling.dispatch.order import order_of
from scaling.errors import UserError
from scaling.folders import SweepFolder
from scaling.plan.planned import PlannedRun
from scaling.plan.trunk import common_steps
from scaling.schedules.constant import Constant
from scaling.schedules.cosine import Cosine
from scaling.schedules.wsd import WarmupStableDecay
from tests.plan import planning

TRUNK = """
defaults:
  - override /data: teacher
  - override /schedule: {schedule}
train: {{batch: 32}}
schedule: {{{keys}}}
sweep:
  trunk: {trunk}
  grid:
    - product: {{model.width: [8, 16], train.steps: [50, 100, 200, 400], seed: [0, 1]}}
"""


def planned(folder, *, schedule="wsd", keys="warmup_steps: 10", trunk="true", extra=()):
    planning.sweep(folder, TRUNK.format(schedule=schedule, keys=keys, trunk=trunk))
    return planning.planned("sweep=mine", *extra)


@pytest.mark.parametrize("schedule", [WarmupStableDecay(warmup_steps=7, decay=0.3), WarmupStableDecay(final=0.1)])
@pytest.mark.parametrize(("steps", "longer"), [(10, 11), (50, 200), (123, 457)])
def test_common_steps_have_the_same_rate_and_the_next_has_not(schedule, steps, longer):
    found = common_steps(schedule, steps, longer)
    assert all(schedule.factor(t, steps) == schedule.factor(t, longer) for t in range(found))
    assert schedule.factor(found, steps) != schedule.factor(found, longer)


def test_a_constant_rate_is_all_common_and_a_cosine_nothing():
    assert common_steps(Constant(), 50, 200) == 50
    assert common_steps(Cosine(), 50, 200) == 1
    assert common_steps(WarmupStableDecay(warmup=0.1), 50, 200) == 0


def test_shorter_runs_fork_from_the_longest_of_the_same_recipe(here):
    plan, alone = planned(here), planned(here, trunk="false")
    assert [run.run_id for run in plan.runs] == [run.run_id for run in alone.runs]
    by_id = {run.run_id: run for run in plan.runs}
    trunks = [run for run in plan.runs if run.forks]
    assert {run.quantities.steps for run in trunks} == {400}
    assert len(trunks) == 4
    for run in plan.runs:
        if run.fork is None:
            assert run.C_spent == run.quantities.C
            continue
        trunk = by_id[run.fork.run_id]
        assert (trunk.config.model, trunk.config.seed) == (run.config.model, run.config.seed)
        assert run.fork.step in trunk.forks
        assert run.C_spent == run.quantities.C * (run.quantities.steps - run.fork.step) // run.quantities.steps
    spent, apart = (sum(one(run) for run in plan.runs) for one in (lambda r: r.C_spent, lambda r: r.quantities.C))
    assert spent < 0.63 * apart


@pytest.mark.parametrize(("lengths", "said"), [("50,100,200,400", True), ("100,125,156,195,244", False)])
def test_a_plan_that_saves_less_than_half_says_what_saves_more(scaling, lengths, said):
    (scaling.folder / "sweeps").mkdir()
    planning.sweep(scaling.folder, TRUNK.format(schedule="wsd", keys="warmup_steps: 10, decay: 0.1", trunk="true"))
    plan = scaling("plan", "sweep=mine", f"train.steps={lengths}")
    assert ("closer together, or a shorter cooldown" in " ".join(plan.split())) is said


def test_a_fork_survives_the_queue_and_comes_after_its_trunk(here):
    plan = planned(here)
    for run in plan.runs:
        assert PlannedRun.from_dict(run.to_dict()) == run
    entries = order_of(SweepFolder(here, "x"), plan.runs).entries
    place = {entry.run_id: i for i, entry in enumerate(entries)}
    assert all(place[entry.fork[0]] < place[entry.run_id] for entry in entries if entry.fork)
    assert sum(entry.C for entry in entries) == sum(run.C_spent for run in plan.runs)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"schedule": "cosine", "keys": "warmup: 0.0"}, "no two runs of the sweep take the same first steps"),
        ({"keys": "warmup: 0.1"}, r"schedule\.warmup_steps"),
        ({"trunk": "3"}, "wanted true or false"),
        ({"extra": ["train.engine=compile"]}, "wanted engine=eager or stacked"),
        ({"keys": "warmup: 0.1, warmup_steps: 5"}, "wanted one"),
    ],
)
def test_what_cannot_share_is_refused(here, keys, said):
    with pytest.raises(UserError, match=said):
        planned(here, **keys)
