"""What SLURM refuses, hides or lets through is told, and nothing that it has accepted is lost."""

from __future__ import annotations

import io
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from scaling.commands.monitor.status import watch_sweep
from scaling.dispatch.control.cancel import cancel
from scaling.dispatch.control.logs import read_log
from scaling.dispatch.dispatches import dispatches
from scaling.dispatch.slurm.scheduler import all_jobs
from scaling.dispatch.slurm.submit import submit
from scaling.dispatch.states.cancelled import change_cancelled
from scaling.dispatch.states.read_state import read_status
from scaling.dispatch.states.state import State
from scaling.errors import UserError
from scaling.folders import write_atomically
from scaling.live.snapshot import Snapshots
from scaling.terminal_table import Terminal
from tests.dispatch.conftest import causes, meanwhile, order, trained
from tests.slurm.sweeps import LAUNCHER, sweep, tool
from tests.waiting import wait_for

pytestmark = pytest.mark.usefixtures("cluster")

NTH_CALL = """#!/bin/bash
echo x >> {calls}
if [ "$(wc -l < {calls})" -ge {nth} ]; then echo "{said}" >&2; exit 1; fi
exec {real} "$@"
"""


@pytest.fixture
def from_call(tmp_path, monkeypatch):
    """Let one of SLURM's tools refuse from its n-th call on."""

    def put(tool: str, nth: int, said: str) -> Path:
        place, calls = tmp_path / "tools", tmp_path / f"{tool}.calls"
        place.mkdir(exist_ok=True)
        script = place / tool
        script.write_text(NTH_CALL.format(calls=calls, nth=nth, said=said, real=shutil.which(tool)))
        script.chmod(0o755)
        monkeypatch.setenv("PATH", str(place), prepend=":")
        return script

    return put


def test_what_was_accepted_is_on_disk_before_more_is_asked_for(tmp_path, from_call):
    flight = sweep(tmp_path / "results", 3, "hold")
    refusing = from_call("sbatch", 2, "sbatch: error: Batch job submission failed: Invalid qos specification")
    with pytest.raises(UserError, match="Invalid qos") as caught:
        flight.submit()  # the array is taken, the closing job is not
    refusing.unlink()
    [(_, dispatch)] = dispatches(flight.folder)
    assert len(dispatch.jobs) == 1
    assert f"the jobs {dispatch.jobs[0]} were accepted before" in str(caught.value)
    flight.working()
    assert flight.submit().covered == 3  # seen, and not submitted again
    assert cancel(flight.folder).jobs == dispatch.jobs
    flight.landed()


def test_a_closing_job_that_is_refused_is_said(tmp_path, from_call):
    flight = sweep(tmp_path / "results", 2, "steps")
    from_call("sbatch", 2, "sbatch: error: AssocMaxSubmitJobLimit")
    found = submit(replace(order(flight.folder, flight.runs), on_end="true"), LAUNCHER)
    assert len(found.job_ids) == 1
    assert "has no closing job" in found.warnings[-1]
    assert "on_end is not run" in found.warnings[-1]
    flight.landed()
    assert len(flight.settled()) == 2


def test_a_command_is_run_once_when_the_last_job_has_ended(tmp_path):
    flight, told = sweep(tmp_path / "results", 3, "steps"), tmp_path / "told"
    command = f'echo "$SCALING_NAME $SCALING_SETTLED $SCALING_FAILED" >> {told}'
    submit(replace(order(flight.folder, flight.runs), on_end=command), LAUNCHER)
    flight.landed()
    assert told.read_text() == "sweep 3 0\n"


def test_many_who_look_on_ask_squeue_once(tmp_path, from_call):
    flight = sweep(tmp_path / "results", 2, "hold")
    flight.submit()
    flight.working()
    asked = from_call("squeue", 1000, "")
    for _ in range(5):
        assert flight.status().of(State.RUNNING)
    assert len((asked.parent.parent / "squeue.calls").read_text().split()) <= 1
    asked.unlink()
    cancel(flight.folder)
    flight.landed()


def test_jobs_that_are_not_known_are_not_taken_for_absent(tmp_path, from_call):
    flight = sweep(tmp_path / "results", 2, "hold")
    flight.submit()
    silent = from_call("squeue", 1, "slurm_load_jobs error: Socket timed out on send/recv operation")
    with pytest.raises(UserError, match="does not say which jobs are queued"):
        flight.submit()
    silent.unlink()
    assert flight.submit().queued == 0
    flight.open()
    flight.landed()
    assert len(flight.settled()) == 2


def test_a_job_that_submits_and_settings_of_sbatch_leave_no_trace(tmp_path, monkeypatch):
    for name, value in {"ARRAY_JOB_ID": "7", "ARRAY_TASK_ID": "3", "JOB_ID": "9", "MEM_PER_NODE": "1"}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    monkeypatch.setenv("SBATCH_PARTITION", "nowhere")
    flight = sweep(tmp_path / "results", 3, "steps")
    said = flight.submit().sentences()
    assert "SBATCH_PARTITION=nowhere is ignored; use launcher.* instead" in said
    for name in ("SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID", "SLURM_JOB_ID", "SLURM_MEM_PER_NODE"):
        monkeypatch.delenv(name)
    flight.landed()
    assert len(flight.settled()) == 3


def test_a_warning_before_the_start_is_refused(tmp_path):
    flight = sweep(tmp_path / "results", 1, "steps", launcher=replace(LAUNCHER, minutes=1, signal_seconds=120))
    with pytest.raises(UserError, match="warned of their end before they begin"):
        flight.submit()
    assert dispatches(flight.folder) == []


def test_runs_cancelled_by_name_stay_so_until_they_are_named_again(tmp_path):
    flight = sweep(tmp_path / "results", 3, "steps")
    named = flight.runs[1].run_id
    cancel(flight.folder, runs=[named])
    first = flight.submit()
    assert (first.queued, "1 of 3 runs are left out: cancelled by name" in first.held) == (2, True)
    flight.landed()
    assert flight.submit().queued == 0
    change_cancelled(flight.folder, remove=[named])
    assert submit(order(flight.folder, flight.runs), LAUNCHER).queued == 1
    flight.landed()
    assert len(flight.settled()) == 3


def test_status_says_how_jobs_ended_that_never_trained(tmp_path):
    broken = replace(LAUNCHER, setup=("echo no such module: cuda/99 >&2", "exit 7"))
    flight = sweep(tmp_path / "results", 2, "steps", launcher=broken)
    flight.submit()
    flight.landed()
    plan(flight)
    notes = read_status(flight.folder).notes
    [said] = {note[note.index("ended") :].partition(" (")[0] for note in notes}
    assert said == "ended before its worker could report: no such module: cuda/99"
    assert {note.partition("; ")[2] for note in notes} == {"SLURM says FAILED, exit code 7:0"}


def test_status_says_why_jobs_wait(tmp_path):
    flight = sweep(tmp_path / "results", 2, "steps", launcher=replace(LAUNCHER, extra={"hold": True}))
    submission = flight.submit()
    plan(flight)
    told = f"job {submission.job_ids[0]} waits in SLURM's queue: JobHeldUser"
    assert told in read_status(flight.folder).notes
    assert told in Snapshots(flight.folder).take()["notes"]
    assert f"note: {told}" in list(read_log(flight.folder, flight.runs[0].run_id))
    assert cancel(flight.folder).jobs == tuple(submission.job_ids)
    flight.landed()


def test_status_says_why_jobs_that_had_begun_do_not_train(tmp_path):
    flight = sweep(tmp_path / "results", 2, "hold")
    flight.submit()
    plan(flight)
    flight.working(2)
    first, second = (claim.job for claim in flight.claims())
    tool("scontrol", "suspend", first)
    tool("scontrol", "requeuehold", "State=SpecialExit", second)
    wait_for(lambda: "SPECIAL_EXIT" in {job.state for job in (all_jobs() or {}).values()})
    write_atomically(flight.folder.jobs / "squeue.json", "")  # what squeue said a moment ago
    said = "\n".join(read_status(flight.folder).notes)
    job = first.split("_")[0]
    assert f"job {job} waits in SLURM's queue: suspended" in said
    assert f"job {job} waits in SLURM's queue: job requeued in held state" in said
    tool("scontrol", "resume", first)
    tool("scontrol", "release", second)
    flight.open()
    flight.landed()
    assert [len(trained(flight.folder, run)) for run in flight.runs] == [1] * 2


def test_who_waits_for_jobs_that_are_held_is_told_so(tmp_path):
    flight = sweep(tmp_path / "results", 2, "steps", launcher=replace(LAUNCHER, extra={"hold": True}))
    submission = flight.submit()
    plan(flight)
    said = io.StringIO()
    with meanwhile(lambda: (wait_for(lambda: "JobHeldUser" in said.getvalue()), release(submission))):
        watch_sweep(Terminal(file=said, width=1000), flight.folder)
    assert said.getvalue().count(f"note: job {submission.job_ids[0]} waits in SLURM's queue: JobHeldUser") == 1
    flight.landed()
    assert len(flight.settled()) == 2


def release(submission) -> None:
    tool("scontrol", "release", ",".join(submission.job_ids))


def test_jobs_whose_queue_is_cut_train_what_they_can_read_and_say_what_they_cannot(tmp_path):
    flight = sweep(tmp_path / "results", 4, "steps", launcher=replace(LAUNCHER, extra={"hold": True}))
    submission = flight.submit()
    plan(flight)
    [(files, _)] = dispatches(flight.folder)
    files.queue.write_bytes(files.queue.read_bytes()[: files.queue.stat().st_size * 5 // 8])
    release(submission)
    flight.landed()
    assert len(flight.settled()) == 2
    lost = [run for run in flight.runs if run not in flight.settled()]
    notes = read_status(flight.folder).notes
    assert all(
        any(f"run {run.run_id} is left: its line in {files.queue} is cut" in note for note in notes) for run in lost
    )
    assert replace(flight, launcher=LAUNCHER).submit().queued == 2
    flight.landed()
    assert [len(trained(flight.folder, run)) for run in flight.runs] == [1] * 4


def test_jobs_whose_folder_was_removed_are_told(tmp_path):
    flight = sweep(tmp_path / "results", 2, "steps", launcher=replace(LAUNCHER, extra={"hold": True}))
    submission = flight.submit()
    plan(flight)
    [(files, _)] = dispatches(flight.folder)
    files.path.rename(tmp_path / "away")
    release(submission)
    flight.landed()
    (tmp_path / "away").rename(files.path)
    notes = read_status(flight.folder).notes
    assert sum(f"left no log in {files.path}" in note for note in notes) == 2


def test_another_job_with_the_id_of_one_that_slurm_has_forgotten_is_left_alone(tmp_path):
    """A controller that has lost its state gives ids again from the first."""
    flight = sweep(tmp_path / "results", 3, "steps", launcher=replace(LAUNCHER, extra={"hold": True}))
    tool("scancel", *flight.submit().job_ids)
    flight.landed()
    plan(flight)
    other = tool("sbatch", "--parsable", "--hold", "--output=/dev/null", "--wrap=sleep 60").strip()
    [(files, dispatch)] = dispatches(flight.folder)
    files.write(replace(dispatch, jobs=(other,), groups=dict.fromkeys(dispatch.groups, (other,))))
    assert read_status(flight.folder).counts["missing"] == 3
    assert cancel(flight.folder).jobs == ()
    files.stop.unlink()
    files.write(replace(dispatch, jobs=(other,), groups=dict.fromkeys(dispatch.groups, (other,))))
    assert replace(flight, launcher=LAUNCHER).submit().queued == 3
    wait_for(lambda: set(all_jobs() or {other, ""}) == {other})
    assert len(flight.settled()) == 3
    tool("scancel", other)
    flight.landed()


def test_a_job_that_cannot_go_back_into_the_queue_says_so(tmp_path):
    (tmp_path / "scontrol").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "scontrol").chmod(0o755)
    without = replace(LAUNCHER, jobs=1, setup=(f"export PATH={tmp_path}:$PATH",))
    flight = sweep(tmp_path / "results", 2, "hold", launcher=without)
    flight.submit()
    plan(flight)
    job = flight.working().job
    tool("scancel", "--batch", "--signal=USR2", job)
    wait_for(lambda: flight.working().job != job)  # the closing job goes on
    said = read_status(flight.folder).notes
    assert any(f"job {job}: it could not go back into SLURM's queue" in note for note in said)
    flight.open()
    flight.landed()
    assert [causes(flight.folder, run)[-1] for run in flight.runs] == ["finished"] * 2
    assert [len(trained(flight.folder, run)) for run in flight.runs] == [1] * 2


def test_jobs_of_a_dispatch_that_cannot_be_read_are_seen_by_what_they_train(tmp_path):
    flight = sweep(tmp_path / "results", 3, "hold")
    flight.submit()
    plan(flight)
    job = flight.working(2).job
    [(files, _)] = dispatches(flight.folder)
    files.facts.unlink()
    assert any(f"{files.facts} cannot be read" in note for note in read_status(flight.folder).notes)
    assert job in cancel(flight.folder).still
    flight.open()
    flight.landed()
    assert [len(trained(flight.folder, run)) for run in flight.runs] == [1] * 3


def plan(flight) -> None:
    """Write the plan that `scaling run` would have written."""
    rows = [f"{run.run_id},seed={run.config.seed},1e6" for run in flight.runs]
    write_atomically(flight.folder.plan, "\n".join(["run_id,overrides,C", *rows]) + "\n")
