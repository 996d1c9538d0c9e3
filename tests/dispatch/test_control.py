"""Cancel, retry, logs: on real dispatchers of this machine."""

from __future__ import annotations

import pytest

from scaling.dispatch.control import cancel, find_run, follow_log, planned_runs, read_log, runs_to_retry
from scaling.dispatch.launchers import Local
from scaling.dispatch.local.launch import run_local
from scaling.dispatch.states.read_state import Reader
from scaling.dispatch.states.state import Planned
from scaling.errors import UserError
from scaling.folders import append_line
from tests.dispatch.conftest import STAND_IN, at_work, causes, open_gates, under_way
from tests.dispatch.local.test_launch import dispatcher
from tests.dispatch.stand_in import planned
from tests.waiting import wait_for

LAUNCHER = Local(workers=2, beat_seconds=0.2)


def test_cancel_stops_a_dispatcher(folder):
    runs = [planned(seed, "hold") for seed in range(2)]
    started = dispatcher(folder, "hold", 2)
    under_way(folder, runs, 2)
    said = cancel(folder)
    assert started.wait(120) == 130
    assert (len(said.dispatches), said.jobs, said.runs) == (1, (), None)
    assert [causes(folder, run) for run in runs] == [["cancelled"]] * 2
    assert cancel(folder).dispatches == ()


def test_cancelled_run_is_left_and_the_others_go_on(folder):
    started = dispatcher(folder, "hold", 3)
    runs = [planned(seed, "hold") for seed in range(3)]
    under_way(folder, runs, 2)
    chosen = at_work(folder, runs)[0]
    cancel(folder, runs=[chosen.run_id])
    wait_for(lambda: causes(folder, chosen))
    open_gates(folder, runs)
    started.wait(120)
    assert [folder.run(run.run_id).record.exists() for run in runs] == [run is not chosen for run in runs]
    assert causes(folder, chosen) == ["cancelled"]


def test_retry_finds_failed_runs_as_they_were(folder):
    runs = [planned(0), planned(1, "crash"), planned(2, "memory")]
    run_local(folder, runs, LAUNCHER, train=STAND_IN)
    status = Reader(folder, [Planned(run.run_id, run.run_id) for run in runs]).read()
    failed = runs_to_retry(status)
    assert set(failed) == {runs[1].run_id, runs[2].run_id}
    assert runs_to_retry(status, runs=[runs[0].run_id, runs[1].run_id]) == [runs[1].run_id]
    assert [run.config for run in planned_runs(folder, failed)] == [
        next(run.config for run in runs if run.run_id == run_id) for run_id in failed
    ]
    with pytest.raises(UserError, match="found no dispatch of run"):
        planned_runs(folder, ["0" * 12])


def test_log_of_a_run_tells_its_attempts_and_evaluations(folder):
    run = planned(0, "crash")
    run_local(folder, [run], LAUNCHER, train=STAND_IN)
    append_line(folder.run(run.run_id).log, {"step": 5, "loss": 0.51234567})
    said = "\n".join(read_log(folder, run.run_id[:6]))
    assert "attempt 1:" in said
    assert "crashed" in said
    assert "Traceback" in said
    assert "step 5, loss 0.51235" in said
    assert "log.err" in said


def test_following_ends_with_the_run(folder):
    run = planned(0)
    run_local(folder, [run], LAUNCHER, train=STAND_IN)
    assert any("finished" in line for line in follow_log(folder, run.run_id))


def test_unknown_run_is_one_sentence(folder):
    with pytest.raises(UserError, match="found no run"):
        find_run(folder, "abc")
