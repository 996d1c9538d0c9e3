"""A sweep that is paused, and runs that are moved to its front, while workers are at it."""

from __future__ import annotations

import json

import pytest

from scaling.dispatch.limits import offer_of
from scaling.dispatch.states.front import Front, clear_front, front_runs, move_to_front
from scaling.dispatch.states.paused import lift_pause, pause, paused_words, refuse_paused
from scaling.dispatch.states.read_state import Reader
from scaling.dispatch.states.state import Planned, State
from scaling.errors import UserError
from scaling.folders import write_atomically
from scaling.limits import Limits
from scaling.plan.rows import to_csv
from tests.dispatch.conftest import at_work, causes, open_gates, order, trained, under_way
from tests.dispatch.local.test_run import dispatcher
from tests.dispatch.stand_in import planned
from tests.waiting import wait_for


def plan(folder, *run_ids: str, **more: dict) -> None:
    """Write a plan of runs; more: columns of those that start from others."""
    empty = {"C": 1, "parent": "", "trunk": ""}
    rows = [{"run_id": run_id, "overrides": "", **empty} for run_id in run_ids]
    rows += [{"run_id": run_id, "overrides": "", **empty, **columns} for run_id, columns in more.items()]
    write_atomically(folder.plan, to_csv(rows))


def test_runs_are_moved_with_what_they_start_from_and_the_latest_come_first(folder):
    plan(folder, "a", "b", "c", child={"parent": "b"}, grandchild={"parent": "child"}, fork={"trunk": "c"})
    assert move_to_front(folder, ["grandchild"]) == ("b", "child", "grandchild")
    assert move_to_front(folder, ["fork", "child"]) == ("c", "fork", "b", "child")
    assert front_runs(folder) == ("c", "fork", "b", "child", "grandchild")
    clear_front(folder)
    assert front_runs(folder) == ()


def test_a_worker_reads_the_front_when_it_has_changed(folder):
    plan(folder, "a", "b")
    front = Front(folder)
    assert front.news() is None
    move_to_front(folder, ["b"])
    assert (front.news(), front.news()) == (("b",), None)
    folder.front.unlink()
    assert (front.news(), front.news()) == ((), None)


def test_a_limit_pays_for_the_front_before_what_is_cheaper(folder):
    runs = [planned(seed) for seed in range(3)]
    plan(folder, *(run.run_id for run in runs))
    cost = runs[0].C_spent
    kept = offer_of(order(folder, runs, limits=Limits(flops=1.5 * cost)), gpus=0).queue
    last = next(run for run in runs if run.run_id != kept[0].run_id)
    move_to_front(folder, [last.run_id])
    moved = offer_of(order(folder, runs, limits=Limits(flops=1.5 * cost)), gpus=0).queue
    assert ([entry.run_id for entry in moved], len(kept)) == ([last.run_id], 1)


def test_a_pause_is_told_and_refuses_what_would_start_runs(folder):
    refuse_paused(folder, path="results/sweep")
    assert (pause(folder), pause(folder)) == (True, False)
    with pytest.raises(UserError, match="`scaling resume results/sweep` continues it"):
        refuse_paused(folder, path="results/sweep")
    told = Reader(folder, [Planned("a", "a")]).read().to_dict()
    assert told["paused"]
    assert "`scaling resume` continues it" in told["notes"][0]
    lift_pause(folder)
    assert paused_words(folder) == ""


def test_a_pause_that_cannot_be_read_is_one(folder):
    write_atomically(folder.paused, "")
    assert paused_words(folder) == "paused"


@pytest.mark.slow
def test_workers_take_what_was_moved_to_the_front_and_leave_when_the_sweep_is_paused(folder):
    runs = [planned(seed, "hold") for seed in range(6)]
    started = dispatcher(folder, "hold", 6)
    under_way(folder, runs, 2)
    at_first = at_work(folder, runs)
    plan(folder, *(run.run_id for run in runs))
    last = [entry.run_id for entry in order(folder, runs).entries if entry.run_id not in {r.run_id for r in at_first}]
    move_to_front(folder, last[-2:])
    open_gates(folder, at_first)
    moved = [run for run in runs if run.run_id in last[-2:]]
    wait_for(lambda: len(at_work(folder, moved)) == 2)
    pause(folder)
    said, _ = started.communicate(timeout=120)
    assert started.returncode == 130
    assert "2/6 runs settled" in said
    assert [causes(folder, run) for run in moved] == [["paused"]] * 2
    assert all(json.loads(folder.run(run.run_id).checkpoint.read_text())["step"] == 3 for run in moved)
    assert [len(trained(folder, run)) for run in at_first] == [1, 1]
    states = Reader(folder, [Planned(run.run_id, run.run_id) for run in runs]).read()
    assert states.counts == {**dict.fromkeys(State, 0), "finished": 2, "missing": 4}
