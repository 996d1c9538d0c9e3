"""Cancel, retry, logs: on real dispatchers of this machine."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from scaling.dispatch.control.cancel import cancel, queued_outside_plan
from scaling.dispatch.control.logs import find_run, follow_log, read_log
from scaling.dispatch.control.retry import entries_to_retry, runs_to_retry, stale_in
from scaling.dispatch.dispatches import new_dispatch
from scaling.dispatch.launchers import Local
from scaling.dispatch.limits import Offer, offer_of
from scaling.dispatch.queue import Entry, write_queue
from scaling.dispatch.states.cancelled import cancelled_runs, change_cancelled
from scaling.dispatch.states.read_state import Reader
from scaling.dispatch.states.state import Planned
from scaling.errors import UserError
from scaling.folders import append_line, write_atomically
from scaling.limits import UNLIMITED
from tests.dispatch.conftest import at_work, causes, meanwhile, open_gates, order, run_quietly, under_way
from tests.dispatch.local.test_run import dispatcher
from tests.dispatch.stand_in import planned, write_stand_in_record
from tests.waiting import wait_for

LAUNCHER = Local(workers=2, beat_seconds=0.2)


@pytest.mark.slow
def test_cancel_stops_a_dispatcher(folder):
    runs = [planned(seed, "hold") for seed in range(2)]
    started = dispatcher(folder, "hold", 2)
    under_way(folder, runs, 2)
    said = cancel(folder)
    assert started.wait(120) == 130
    assert (len(said.dispatches), said.jobs, said.runs) == (1, (), None)
    assert [causes(folder, run) for run in runs] == [["cancelled"]] * 2
    assert cancel(folder).dispatches == ()


def test_cancel_is_told_where_the_plan_is_broken(folder):
    write_atomically(folder.plan, "no plan")
    assert cancel(folder).still == ()


def test_cancelled_run_is_left_and_the_others_go_on(folder):
    runs, found, said = [planned(seed, "hold") for seed in range(3)], [], []
    rows = [f"{run.run_id},{run.run_id},1e6" for run in runs]
    write_atomically(folder.plan, "\n".join(["run_id,overrides,C", *rows]) + "\n")

    def strike():
        under_way(folder, runs, 2)
        found.append(at_work(folder, runs)[0])
        said.append(cancel(folder, runs=[found[0].run_id]))
        wait_for(lambda: causes(folder, found[0]))
        open_gates(folder, runs)

    with meanwhile(strike):
        outcome = run_quietly(order(folder, runs), LAUNCHER)
    [chosen], [cancelled] = found, said
    assert "1 of 3 runs are left out: cancelled by name" in outcome.held
    assert cancelled.still == ()  # its worker was asked
    assert [folder.run(run.run_id).record.exists() for run in runs] == [run is not chosen for run in runs]
    assert causes(folder, chosen) == ["cancelled"]


def test_retry_finds_failed_runs_as_they_were(folder):
    runs = [planned(0), planned(1, "crash"), planned(2, "memory")]
    run_quietly(order(folder, runs), LAUNCHER)
    status = Reader(folder, [Planned(run.run_id, run.run_id) for run in runs]).read()
    failed = runs_to_retry(status)
    assert set(failed) == {runs[1].run_id, runs[2].run_id}
    assert runs_to_retry(status, runs=[runs[0].run_id, runs[1].run_id]) == [runs[1].run_id]
    assert [entry.planned_run().config for entry in entries_to_retry(folder, failed)] == [
        next(run.config for run in runs if run.run_id == run_id) for run_id in failed
    ]
    with pytest.raises(UserError, match="found no dispatch of run"):
        entries_to_retry(folder, ["0" * 12])


def test_retry_reads_each_run_once_however_often_it_was_dispatched(folder, monkeypatch):
    runs, read = [planned(seed) for seed in range(5)], []
    for _ in range(4):
        made = new_dispatch(folder)
        made.write(made.begin(LAUNCHER, Offer(()), UNLIMITED))
        write_queue(made.queue, order(folder, runs).entries)
    for run in runs[1:]:
        write_stand_in_record(folder.run(run.run_id))
    real = Entry.from_dict
    monkeypatch.setattr(Entry, "from_dict", lambda raw: read.append(raw["run_id"]) or real(raw))
    assert stale_in(folder) == {}
    assert [entry.run_id for entry in entries_to_retry(folder, [runs[0].run_id])] == [runs[0].run_id]
    assert sorted(read) == sorted(run.run_id for run in runs)


def test_log_of_a_run_tells_its_attempts_and_evaluations(folder):
    run = planned(0, "crash")
    run_quietly(order(folder, [run]), LAUNCHER)
    append_line(folder.run(run.run_id).log, {"step": 5, "loss": 0.51234567})
    said = "\n".join(read_log(folder, run.run_id[:6]))
    assert "attempt 1:" in said
    assert "crashed" in said
    assert "Traceback" in said
    assert "step 5, loss 0.51235" in said
    assert "log.err" in said


def test_log_of_a_run_that_was_never_begun_says_what_keeps_it(folder):
    write_atomically(folder.plan, "run_id,overrides,C\nabcdef,seed=0,1e6\n")
    (folder.jobs / "1").mkdir(parents=True)
    (folder.jobs / "1" / "7_0_submitted.pkl").touch()
    state, note = read_log(folder, "abc")
    assert state == "run abcdef is not started"
    assert "dispatch.json cannot be read" in note


def test_following_ends_with_the_run(folder):
    run = planned(0)
    run_quietly(order(folder, [run]), LAUNCHER)
    assert any("finished" in line for line in follow_log(folder, run.run_id))


def test_unknown_run_is_one_sentence(folder):
    with pytest.raises(UserError, match="found no run"):
        find_run(folder, "abc")


@pytest.mark.slow
def test_a_run_cancelled_by_name_is_left_out_until_it_is_named_again(folder):
    runs = [planned(seed) for seed in range(3)]
    cancel(folder, runs=[runs[1].run_id])
    outcome = run_quietly(order(folder, runs), LAUNCHER)
    assert [folder.run(run.run_id).record.exists() for run in runs] == [True, False, True]
    assert "1 of 3 runs are left out: cancelled by name" in outcome.held
    assert outcome.exit_code == 0
    change_cancelled(folder, remove=[runs[1].run_id])
    assert run_quietly(order(folder, runs), LAUNCHER).settled == 3


def test_what_starts_from_a_cancelled_run_is_left_out_too(folder):
    parent, child, other = (planned(seed) for seed in range(3))
    asked = order(folder, [parent, child, other])
    entries = [
        replace(entry, needs=(parent.run_id,) if entry.run_id == child.run_id else ()) for entry in asked.entries
    ]
    entries.sort(key=lambda entry: len(entry.needs))
    asked = replace(asked, entries=tuple(entries), cancelled=frozenset([parent.run_id]))
    assert [entry.run_id for entry in offer_of(asked, gpus=0).queue] == [other.run_id]


def test_dispatches_of_another_user_are_left_to_them(folder):
    made = new_dispatch(folder)
    facts = made.begin(LAUNCHER, Offer(()), UNLIMITED)
    made.write(replace(facts, user="somebody", jobs=("7",)))
    cancelled = cancel(folder)
    assert (cancelled.dispatches, cancelled.jobs) == ((), ())
    assert cancelled.others == (f"{facts.id} of somebody",)
    assert not made.stop.exists()


def test_following_ends_where_nobody_trains_the_run_any_more(folder):
    run = planned(0, "crash")
    run_quietly(order(folder, [run]), LAUNCHER)
    write_atomically(folder.plan, f"run_id,overrides,C\n{run.run_id},seed=0,1e6\n")
    assert any("the weights have left the building" in line for line in follow_log(folder, run.run_id))


def test_runs_that_left_the_plan_while_they_are_queued_are_known(folder):
    runs, seen = [planned(seed, "hold") for seed in range(3)], set()

    def change_the_plan() -> None:
        under_way(folder, runs)
        write_atomically(folder.plan, f"run_id,overrides,C\n{runs[0].run_id},seed=0,1e6\n")
        seen.update(queued_outside_plan(folder))
        open_gates(folder, runs)

    with meanwhile(change_the_plan):
        run_quietly(order(folder, runs), LAUNCHER)
    assert seen == {run.run_id for run in runs[1:]}
    assert queued_outside_plan(folder) == []


@pytest.mark.parametrize(("queued", "asked"), [({}, 0), ({"7_0": "PENDING"}, 1), (None, 1)])
def test_no_command_is_asked_to_stop_some_runs_if_its_jobs_have_ended(folder, monkeypatch, queued, asked):
    made = new_dispatch(folder)
    made.write(replace(made.begin(LAUNCHER, Offer(()), UNLIMITED), jobs=("7",)))
    launcher = SimpleNamespace(job_states=lambda dispatches: queued)
    monkeypatch.setattr("scaling.dispatch.control.cancel.launcher_of_dispatch", lambda dispatch: launcher)
    cancelled = cancel(folder, runs=["a"])
    assert (len(cancelled.dispatches), cancelled.runs) == (asked, 1)
    assert cancelled_runs(folder) == {"a"}
