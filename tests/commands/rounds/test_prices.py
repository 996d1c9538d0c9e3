"""What candidates cost: those of one trunk, or of one parent, pay for it once."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from scaling.commands.rounds.candidates import priced
from scaling.dispatch.limits import offer_of
from scaling.dispatch.order import order_of
from scaling.dispatch.states.trunks import without_lost_trunks
from scaling.folders import SweepFolder
from scaling.limits import Limits
from tests.plan import planning
from tests.plan.test_trunk import TRUNK


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sweeps").mkdir()
    return tmp_path


@pytest.fixture
def lengths(here):
    """Four lengths of one width and seed, on one trunk, shortest first."""
    planning.sweep(here, TRUNK.format(schedule="wsd", keys="warmup_steps: 10", trunk="true"))
    return planning.planned("sweep=mine", "model.width=8", "seed=0").runs


def settled(*runs):
    """Return a cache in which these runs are settled, each as it is planned."""
    done = {run.run_id: SimpleNamespace(forked=run.fork.step if run.fork else 0) for run in runs}
    return SimpleNamespace(get=done.get)


def prices(runs, *done):
    found = priced([run for run in runs if run not in done], runs, settled(*done), lambda _: {})
    return [(one.alone.flops, one.shared.flops, one.leads) for one in found]


def test_a_branch_is_cheap_beside_a_longer_run_alone(lengths):
    assert prices(lengths) == [(run.quantities.C, run.C_spent, True) for run in lengths]
    assert prices(lengths)[0][1] < 0.25 * prices(lengths)[0][0]


def test_a_trunk_that_is_settled_carries_no_further_branch(lengths):
    short, *_, trunk = lengths
    assert [leads for *_, leads in prices(lengths, trunk)] == [False] * 3
    assert [leads for *_, leads in prices(lengths, short)] == [True] * 3


def test_branches_whose_trunk_left_no_state_are_trained_and_counted_from_their_start(lengths, here):
    folder = SweepFolder(here / "results", "x")
    short, _, _, trunk = lengths
    assert without_lost_trunks(lengths, folder, settled()) == list(lengths)
    found = without_lost_trunks(lengths, folder, settled(trunk))
    assert [run.fork for run in found] == [None] * 4
    assert [run.C_spent for run in found] == [run.quantities.C for run in lengths]
    state = folder.run(trunk.run_id).fork(short.fork.step)
    state.parent.mkdir(parents=True)
    state.touch()
    assert without_lost_trunks(lengths, folder, settled(trunk))[0] == short


def test_a_trunk_that_gets_a_longer_length_later_has_cost_all_its_steps(lengths, here):
    folder = SweepFolder(here / "results", "x")
    short, _, old, longer = lengths
    before = planning.planned("sweep=mine", "model.width=8", "seed=0", "train.steps=50,100,200").runs
    found = without_lost_trunks(lengths, folder, settled(*before))
    assert [run.C_spent for run in found] == [*(run.C_spent for run in before), longer.quantities.C]
    assert found[2].C_spent == old.quantities.C > old.C_spent
    assert found[0] == short


def test_within_a_limit_branches_without_their_trunk_cost_all_their_steps(lengths, here):
    order = order_of(SweepFolder(here / "results", "x"), lengths)
    alone = sorted(run.quantities.C for run in lengths)
    for limit, count in ((alone[0] + alone[1], 2), (alone[3], 1), (sum(run.C_spent for run in lengths), 4)):
        offered = offer_of(type(order)(order.folder, order.entries, order.settled, Limits(flops=limit)), gpus=0)
        assert len(offered.queue) == count, limit
