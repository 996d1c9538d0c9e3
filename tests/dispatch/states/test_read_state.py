"""The state of each run is what its files say, each opened once and without heavy imports."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import pytest

from scaling.dispatch.claims.claim import Claim, acquire
from scaling.dispatch.dispatches import Dispatch, dispatches, new_dispatch
from scaling.dispatch.launchers import Local
from scaling.dispatch.process import Process, this_process
from scaling.dispatch.show import print_status
from scaling.dispatch.states import read_state
from scaling.dispatch.states.attempts import PastAttempt, iso
from scaling.dispatch.states.read_plan import read_plan
from scaling.dispatch.states.read_state import Reader, read_status
from scaling.dispatch.states.state import Planned, RunState, State
from scaling.dispatch.states.time_left import eta
from scaling.errors import UserError
from scaling.folders import SweepFolder, write_atomically
from scaling.terminal_table import Terminal
from tests.dispatch.conftest import clock_ahead, order, run_quietly
from tests.dispatch.stand_in import planned, write_stand_in_record

HERE = Path(__file__).parents[3]
IDS = [f"{number:012x}" for number in range(8)]
STARTED = 1e9  # Unix seconds: when the dispatches of these tests began


def write_plan(folder, ids, seconds=10.0):
    folder.path.mkdir(parents=True, exist_ok=True)
    with folder.plan.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["run_id", "overrides", "C"])
        writer.writerows([run_id, f"seed={number}", 1e6] for number, run_id in enumerate(ids))
    with folder.forecast.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["run_id", "seconds", "memory_bytes", "device", "basis"])
        writer.writerows([run_id, seconds, "", "cpu", "probe"] for run_id in ids)


def write_record(folder, run_id, status="finished", seconds=20.0):
    write_stand_in_record(folder.run(run_id), status, loss=0.5, seconds=seconds)


@pytest.fixture
def scheduler(monkeypatch):
    """Let a scheduler say so of the jobs of these tests; None: it does not answer."""

    def says(jobs):
        launcher = SimpleNamespace(job_states=lambda queued: jobs, trouble=lambda queued: [])
        monkeypatch.setattr(read_state, "launcher_of_dispatch", lambda dispatch: launcher)

    return says


def tried(folder, run_id, cause, end=0.0):
    attempt = PastAttempt(iso(end - 1), iso(end), "n1", "7", cause, 1.0, 0.0, error="why it ended")
    attempt.append(folder.run(run_id))


def dispatch(folder, **facts):
    made = new_dispatch(folder)
    plain = {"id": made.path.name, "kind": "local", "started": STARTED, "process": this_process()}
    made.write(Dispatch(**{**plain, **facts}))
    return made


def states(folder):
    return {run.run_id: run.state.value for run in read_status(folder).runs}


def test_each_state_from_the_files(folder):
    write_plan(folder, IDS)
    write_record(folder, IDS[0])
    write_record(folder, IDS[1], "diverged")
    held = acquire(folder.run(IDS[2]).claim, worker="worker 1")
    held.beat({"step": 5, "steps": 10, "loss": 0.7, "examples_per_second": 100.0})
    tried(folder, IDS[3], "crashed")
    tried(folder, IDS[4], "interrupted")
    write_record(folder, IDS[5])
    folder.run(IDS[5]).record.write_text('{"schema": 1, "run_id"')
    status = read_status(folder)
    expected = ["finished", "diverged", "running", "failed", "missing", "missing", "missing", "missing"]
    assert [run.state.value for run in status.runs] == expected
    assert status.counts == {"finished": 1, "diverged": 1, "running": 1, "pending": 0, "failed": 1, "missing": 4}
    assert (status.runs[2].step, status.runs[2].loss, status.runs[2].share) == (5, 0.7, 0.5)
    assert (status.runs[3].cause, status.runs[3].error) == ("crashed", "why it ended")
    assert "found a broken record in" in status.notes[0]
    said = json.loads(json.dumps(status.to_dict(), allow_nan=False))
    assert said["counts"]["running"] == 1
    assert said["runs"][1]["state"] == "diverged"


def test_pending_while_a_dispatcher_lives(folder):
    write_plan(folder, IDS[:3])
    tried(folder, IDS[0], "crashed", end=STARTED - 100)
    tried(folder, IDS[1], "crashed", end=STARTED + 100)
    assert states(folder) == dict(zip(IDS[:3], ["failed", "failed", "missing"], strict=True))
    made = dispatch(folder)
    assert states(folder) == dict(zip(IDS[:3], ["pending", "failed", "pending"], strict=True))
    made.write(replace(made.read(), ended=True))
    assert states(folder)[IDS[2]] == "missing"
    dispatch(folder, process=replace(this_process(), start=1))  # a dispatcher that was killed
    assert states(folder)[IDS[2]] == "missing"


def test_failed_only_when_the_dispatcher_will_not_try_again(folder):
    write_plan(folder, IDS[:3])
    made = dispatch(folder, launcher={"retries": 1})
    for run_id, causes in zip(IDS, (["timed_out"], ["crashed"], ["crashed", "crashed"]), strict=False):
        for number, cause in enumerate(causes):
            tried(folder, run_id, cause, end=STARTED + 100 + number)
    assert states(folder) == dict(zip(IDS[:3], ["pending", "pending", "failed"], strict=True))
    made.write(replace(made.read(), ended=True))
    assert states(folder) == dict(zip(IDS[:3], ["missing", "failed", "failed"], strict=True))


def test_a_run_that_gains_no_step_is_failed_with_the_reason_also_when_nobody_tries_it_any_more(folder):
    write_plan(folder, IDS[:1])
    for number in range(5):
        assert states(folder)[IDS[0]] == "missing"
        tried(folder, IDS[0], "timed_out", end=STARTED + number)
    [run] = read_status(folder).runs
    assert (run.state, run.cause) == ("failed", "timed_out")
    assert run.error == "why it ended; the last 5 attempts gained no step"


def test_forecasts_say_with_how_many_members_a_run_is_trained(folder):
    write_plan(folder, IDS[:2])
    folder.forecast.write_text(f"run_id,seconds,members\n{IDS[0]},2.0,2.5\n{IDS[1]},2.0,\n")
    assert [run.members for run in read_plan(folder)] == [2.5, 1.0]


def test_a_run_whose_worker_has_just_died_is_stopped_and_not_unbegun(folder):
    write_plan(folder, IDS[:2])
    died = Claim("abc", replace(this_process(), start=1))
    write_atomically(folder.run(IDS[0]).claim, died.to_json().decode())
    assert [(run.state, run.attempts) for run in read_status(folder).runs] == [("missing", 1), ("missing", 0)]


def test_attempts_are_of_the_dispatch_that_has_their_job_whatever_the_clocks_of_nodes_say(folder, scheduler):
    write_plan(folder, IDS[:2])
    dispatch(folder, kind="slurm", jobs=("7",))
    tried(folder, IDS[0], "crashed", end=STARTED - 100)
    jobs = {"7_0": "RUNNING", "8_0": "RUNNING"}
    scheduler(jobs)
    assert states(folder) == dict(zip(IDS[:2], ["failed", "pending"], strict=True))
    [(made, first)] = dispatches(folder)
    made.write(replace(first, ended=True))
    dispatch(folder, kind="slurm", jobs=("8",), started=STARTED - 1000)  # by a clock that is late
    scheduler(jobs)
    assert states(folder) == dict.fromkeys(IDS[:2], "pending")


def test_a_worker_that_gives_no_sign_of_life_though_its_job_runs_is_told(folder, scheduler):
    write_plan(folder, IDS[:1])
    files = folder.run(IDS[0])
    files.path.mkdir(parents=True)
    files.claim.write_bytes(Claim("f" * 12, Process("n1", "far", 1, 1), job="70_0", since=STARTED).to_json())
    dispatch(folder, kind="slurm", jobs=("70",))
    scheduler({"70_0": "RUNNING"})
    assert read_status(folder).notes == ()
    os.utime(files.claim, (time.time() - 200, time.time() - 200))
    status = read_status(folder)
    assert status.counts["running"] == 1
    assert f"run {IDS[0]} has had no heartbeat since " in status.notes[0]
    assert "(job 70_0 on n1)" in status.notes[0]
    os.utime(files.claim)
    with clock_ahead(200):
        assert read_status(folder).notes == ()


def test_a_run_of_another_machine_runs_though_this_one_s_clock_is_not_that_of_the_files(folder):
    write_plan(folder, IDS[:1])
    write_atomically(folder.run(IDS[0]).claim, Claim("f" * 12, Process("n1", "far", 1, 1), since=STARTED).to_json())
    with clock_ahead(60):
        assert states(folder) == {IDS[0]: "running"}
    with clock_ahead(-60):
        assert states(folder) == {IDS[0]: "running"}
    os.utime(folder.run(IDS[0]).claim, (0, time.time() - 60))
    assert states(folder) == {IDS[0]: "missing"}


def test_claim_of_a_dead_process_is_no_running_run(folder):
    write_plan(folder, IDS[:1])
    files = folder.run(IDS[0])
    held = acquire(files.claim)
    files.claim.write_bytes(replace(held.claim, process=replace(this_process(), start=1)).to_json())
    assert states(folder) == {IDS[0]: "missing"}


def test_scheduler_is_asked_for_claims_of_other_machines(folder, scheduler):
    write_plan(folder, IDS[:3])
    far = Process("n1", "far", 1, 1)
    for number in range(3):
        files = folder.run(IDS[number])
        files.path.mkdir(parents=True)
        files.claim.write_bytes(Claim("f" * 12, far, job=f"70_{number}", since=STARTED).to_json())
        os.utime(files.claim, (0, 0))  # silent since long
    dispatch(folder, kind="slurm", process=far, jobs=("70",))
    jobs = {"70_0": "RUNNING", "70_1": "PENDING"}
    scheduler(jobs)
    assert states(folder) == dict(zip(IDS[:3], ["running", "pending", "pending"], strict=True))
    scheduler({})
    assert states(folder) == dict.fromkeys(IDS[:3], "missing")
    for number in range(3):
        hours = time.time() + 7200
        os.utime(folder.run(IDS[number]).claim, (hours, hours))  # by the clock of a node that goes ahead
    scheduler(jobs)
    assert states(folder) == dict(zip(IDS[:3], ["running", "pending", "pending"], strict=True))
    scheduler({})
    assert states(folder) == dict.fromkeys(IDS[:3], "missing")
    scheduler(None)  # that alone says nothing
    status = read_status(folder)
    assert status.counts["pending"] == 3
    assert "does not answer" in status.notes[0]


def test_each_of_two_schedulers_is_asked_for_its_own_jobs(folder, monkeypatch):
    def launcher(dispatch):
        return SimpleNamespace(job_states=lambda queued: {job: "RUNNING" for _, each in queued for job in each.jobs})

    monkeypatch.setattr(read_state, "launcher_of_dispatch", launcher)
    write_plan(folder, IDS[:1])
    dispatch(folder, kind="slurm", jobs=("7",))
    dispatch(folder, kind="mine", jobs=("a",))
    assert Reader(folder, read_plan(folder)).read().jobs == {"7": "RUNNING", "a": "RUNNING"}


def test_no_plan_is_one_sentence(folder):
    with pytest.raises(UserError, match="found no"):
        read_status(folder)


def one(state, *, run_id="x", **facts):
    return RunState(run_id, "x", state, **facts)


@pytest.mark.parametrize("steps", ["inf", "nan", "x"])
def test_a_plan_with_a_length_that_is_none_is_broken(folder, steps):
    write_atomically(folder.plan, f"run_id,C,steps\n{IDS[0]},1,{steps}\n")
    with pytest.raises(UserError, match="not a whole plan"):
        read_status(folder)


def test_eta_learns_from_settled_runs():
    done = one(State.FINISHED, seconds=20.0, forecast_seconds=10.0)
    waiting = one(State.PENDING, run_id="z", forecast_seconds=10.0)
    running = one(State.RUNNING, run_id="y", seconds=30.0, step=3, steps=4, forecast_seconds=20.0)
    assert eta([done]) == 0.0
    assert eta([done, waiting]) is None  # nothing runs
    assert eta([done, running]) == 10.0
    assert eta([done, running, waiting]) == 30.0
    other = one(State.RUNNING, run_id="other", seconds=30.0, step=3, steps=4, forecast_seconds=20.0)
    another = one(State.PENDING, run_id="another", forecast_seconds=10.0)
    assert eta([done, running, other, waiting, another]) == 30.0
    assert eta([done, running, waiting, another], workers=2) == 30.0  # one is between two runs
    unknown = one(State.RUNNING, run_id="unknown", seconds=30.0)
    assert eta([unknown, one(State.PENDING, run_id="next")]) is None


def test_printed_status(folder):
    write_plan(folder, IDS)
    write_record(folder, IDS[0])
    tried(folder, IDS[3], "crashed")
    console = Terminal(file=StringIO(), width=100)
    print_status(console, read_status(folder))
    said = console.file.getvalue()
    assert "sweep: 1/8 settled, 1 failed, 6 not started" in said
    assert "why it ended" in said
    print_status(console, read_status(folder), every=True)
    assert "seed=7" in console.file.getvalue()


def test_status_of_a_sweep_that_ran(folder):
    runs = [planned(seed) for seed in range(4)] + [planned(9, "crash")]
    write_plan(folder, [run.run_id for run in runs])
    run_quietly(order(folder, runs), Local(workers=2))
    assert [run.state.value for run in read_status(folder).runs] == ["finished"] * 4 + ["failed"]


COUNT = """
import json, sys
from collections import Counter
from pathlib import Path
from scaling.dispatch.states.read_plan import read_plan
from scaling.dispatch.states.read_state import Reader
from scaling.dispatch.show import print_status
from scaling.folders import SweepFolder, write_atomically
from scaling.terminal_table import Terminal

opened, started = Counter(), []

def note(event, arguments):
    if event == "open" and str(arguments[0]).startswith(sys.argv[1]):
        opened[Path(arguments[0]).name] += 1
    if event in ("subprocess.Popen", "os.posix_spawn", "os.fork"):
        started.append(event)

sys.addaudithook(note)
folder = SweepFolder(Path(sys.argv[1]), "sweep")
reader = Reader(folder, read_plan(folder))
print_status(Terminal(stderr=True), reader.read())
first = dict(opened)
opened.clear()
reader.read()
heavy = {"torch", "pandas", "pydantic", "numpy", "hydra", "submitit"} & set(sys.modules)
print(json.dumps([first, dict(opened), started, sorted(heavy)]))
"""


def test_runs_are_read_file_by_file_once_and_nothing_is_started(folder):
    ids = [f"{number:012x}" for number in range(100)]
    write_plan(folder, ids)
    for run_id in ids[:90]:
        write_record(folder, run_id)
    for run_id in ids[90:95]:  # the others were never begun
        folder.run(run_id).path.mkdir()
    command = [sys.executable, "-c", COUNT, str(folder.results)]
    done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=True)
    first, again, started, heavy = json.loads(done.stdout)
    assert first == {"plan.csv": 1, "forecast.csv": 1, "record.json": 90, "claim.json": 5, "attempts.jsonl": 5}
    assert again == {}
    assert (started, heavy) == ([], [])


def test_steps_of_a_branch_are_its_own(tmp_path):
    """Its trunk takes the first 600 of 1,000 for it: taken up at 700, it has done 200 of 400."""
    folder = SweepFolder(tmp_path, "sweep")
    branch = Planned(IDS[0], "branch", C=4e6, steps=400, fork=600)
    held = acquire(folder.run(IDS[0]).claim)
    held.beat({"step": 800, "steps": 1000, "began": 700, "seconds": 2.5})
    [state] = Reader(folder, [branch]).read().runs
    assert (state.step, state.steps, state.began, state.seconds_at_step) == (200, 400, 100, 2.5)
    assert (state.share, state.share_before, state.share_since) == (0.5, 0.25, 0.25)
    held.release()
    PastAttempt(iso(0), iso(1), "n1", "7", "killed", 1.0, 0.0, step=900).append(folder.run(IDS[0]))
    [state] = Reader(folder, [branch]).read().runs
    assert (state.began, state.share_before) == (300, 0.75)
