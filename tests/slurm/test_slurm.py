"""A sweep on a real SLURM: submitted in seconds, spread over the cluster, complete."""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from scaling.dispatch.control.cancel import cancel
from scaling.dispatch.dispatches import dispatches
from scaling.dispatch.slurm import scheduler
from scaling.dispatch.slurm.cluster import describe_cluster, read_cluster
from scaling.dispatch.slurm.submit import rehearse, submit
from scaling.dispatch.states.read_state import read_status
from scaling.dispatch.states.state import State
from scaling.errors import UserError
from scaling.folders import SweepFolder, write_atomically
from scaling.limits import Limits
from tests.dispatch.conftest import at_work, causes, order, trained
from tests.dispatch.stand_in import planned
from tests.slurm.sweeps import LAUNCHER, Flight, ended, sweep, tool
from tests.waiting import wait_for

pytestmark = pytest.mark.usefixtures("cluster")


def test_sixty_runs_over_four_nodes(tmp_path):
    flight = sweep(tmp_path, 60, "hold", launcher=replace(LAUNCHER, jobs=16))
    submission = flight.submit()  # comes back, though no run ends
    assert (submission.queued, submission.hands[0].jobs, len(submission.job_ids)) == (60, 16, 2)
    flight.working(16)
    assert flight.status().counts == {**dict.fromkeys(State, 0), "running": 16, "pending": 44}
    flight.open()
    flight.landed()
    lines = [trained(flight.folder, run) for run in flight.runs]
    assert [len(each) for each in lines] == [1] * 60
    workers = {(line["node"], line["gpu"], line["pid"]) for [line] in lines}
    assert sorted(worker[:2] for worker in workers) == [(f"n{node}", gpu) for node in range(1, 5) for gpu in "0123"]
    attempt = json.loads(flight.files(flight.runs[0]).attempts.read_text())
    assert (attempt["cause"], attempt["gpu_seconds"]) == ("finished", attempt["seconds"])
    assert attempt["job"].startswith(submission.job_ids[0])
    again = flight.submit()
    assert (again.settled, again.queued, again.jobs) == (60, 0, None)


def test_submitting_twice_covers_once(tmp_path):
    flight = sweep(tmp_path, 4, "hold")
    flight.submit()
    again = flight.submit()
    assert (again.queued, again.covered) == (0, 4)
    more = replace(flight, runs=[*flight.runs, planned(99)])
    assert more.submit().queued == 1
    flight.open()
    flight.landed()
    assert [len(trained(flight.folder, run)) for run in more.runs] == [1] * 5


def test_cancel_sticks(tmp_path):
    flight = sweep(tmp_path, 4, "hold")
    flight.submit()
    job = flight.working().job
    said = cancel(flight.folder)
    assert len(said.jobs) == 2
    flight.landed()
    assert flight.status().counts["missing"] == 4
    assert {cause for run in flight.runs for cause in causes(flight.folder, run)} == {"cancelled"}
    [(files, _)] = dispatches(flight.folder)
    assert job.split("_")[0] in said.jobs
    assert files.stop.exists()


@pytest.mark.slow
def test_cancelled_job_that_is_requeued_stays_cancelled(tmp_path):
    flight = sweep(tmp_path, 2, "hold")
    flight.submit()
    job = flight.working().job
    [(files, _)] = dispatches(flight.folder)
    from scaling.dispatch.claims.stop import StopRequest

    tool("scontrol", "requeue", job)
    files.ask_to_stop(StopRequest("cancelled"))
    flight.landed()
    assert trained(flight.folder, flight.runs[0]) == []


@pytest.mark.slow
def test_named_runs_are_cancelled_and_the_others_go_on(tmp_path):
    flight = sweep(tmp_path, 3, "hold")
    flight.submit()
    flight.working()
    running = at_work(flight.folder, flight.runs)[0]
    cancel(flight.folder, runs=[running.run_id])
    wait_for(lambda: causes(flight.folder, running))
    again = flight.submit()
    assert (again.queued, again.covered) == (0, 2)  # the others are in the same jobs, and not submitted again
    flight.open()
    flight.landed()
    assert causes(flight.folder, running) == ["cancelled"]
    assert len(flight.settled()) == 2


@pytest.mark.slow
def test_time_limit_brings_the_job_back(tmp_path):
    """The warning before the limit leads to a checkpoint and the queue; the run goes on where it was."""
    flight = sweep(tmp_path, 1, "hold")
    flight.submit()
    claim = flight.working()
    tool("scancel", "--batch", "--signal=USR2", claim.job)  # what SLURM sends
    ended(claim)
    flight.open()
    flight.landed()
    [run] = flight.runs
    assert causes(flight.folder, run) == ["preempted", "finished"]
    [line] = trained(flight.folder, run)
    assert line["from"] > 0


def test_failed_run_is_retried_once_and_the_others_go_on(tmp_path):
    runs = [planned(0, "crash"), planned(1, "memory"), planned(2)]
    flight = Flight(SweepFolder(tmp_path, "sweep"), runs)
    flight.submit()
    flight.landed()
    assert [causes(flight.folder, run) for run in runs] == [["crashed"] * 2, ["out_of_memory"], ["finished"]]
    assert flight.status().counts == {
        "finished": 1, "diverged": 0, "running": 0, "pending": 0, "failed": 2, "missing": 0,
    }  # fmt: skip


def test_runs_that_kill_their_workers_keep_no_other_from_being_trained(tmp_path):
    runs = [planned(0, "die"), planned(1, "die"), planned(2), planned(3, "die"), planned(4)]
    flight = Flight(SweepFolder(tmp_path, "sweep"), runs, launcher=replace(LAUNCHER, jobs=1))
    [job, _] = flight.submit().job_ids
    flight.landed()
    told = [causes(flight.folder, run) for run in runs]
    assert told == [["killed"] * 3, ["killed"] * 3, ["finished"], ["killed"] * 3, ["finished"]]
    assert [line["job"] for run in runs for line in trained(flight.folder, run)] == [job] * 2
    assert flight.status().counts["failed"] == 3


def test_waiting_tells_how_it_ended(scaling):
    (scaling.folder / "mine.py").write_text(BROKEN)
    (scaling.folder / "conf" / "schedule").mkdir(parents=True)
    (scaling.folder / "conf" / "schedule" / "broken.yaml").write_text("_target_: mine.Broken")
    asked = [
        "run",
        "schedule=constant,broken",
        "train.steps=10",
        "train.device=cpu",
        "launcher=slurm",
        "launcher.gpus=0",
    ]
    said = scaling.outside(*asked, "launcher.cpus=1", "launcher.min_memory_gb=1", "--wait", "--json", "-", code=1)
    assert "1/2 runs settled: 1 now" in said
    assert "(schedule=broken): refused: found mine.Broken, whose factor(0, 10) fails (ValueError: no rate)" in said
    assert "to retry the failed runs: scaling run schedule=constant,broken" in said


BROKEN = """
from dataclasses import dataclass
from scaling.schedules.constant import Constant

@dataclass(frozen=True)
class Broken(Constant):
    name = "broken"

    def factor(self, step, steps):
        raise ValueError("no rate")
"""


def test_limit_is_hard(tmp_path):
    flight = sweep(tmp_path, 5, "steps")
    C = flight.runs[0].quantities.C
    said = submit(order(flight.folder, flight.runs, limits=Limits(flops=2.5 * C)), LAUNCHER)
    assert (said.queued, "3 of 5 runs are not started" in said.held) == (2, True)
    flight.landed()
    assert len(flight.settled()) == 2


def test_code_of_the_submission_runs_whatever_is_edited(tmp_path, monkeypatch):
    """The user's own module is edited while its job waits; the job runs it as it was."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    module = Path("mine.py")
    module.write_text(MINE.format(answer=1))
    waiting = replace(LAUNCHER, jobs=1, extra={"hold": True})
    run = planned(0, model="mine.Mine")
    flight = Flight(SweepFolder(tmp_path / "results", "sweep"), [run], launcher=waiting, train="mine:train")
    submission = flight.submit()
    module.write_text(MINE.format(answer=2))
    tool("scontrol", "release", ",".join(submission.job_ids))
    flight.landed()
    assert flight.files(run).path.joinpath("answer.txt").read_text() == "1"
    [(files, _)] = dispatches(flight.folder)
    assert files.code.joinpath("scaling", "__init__.py").exists()


@pytest.mark.parametrize("part", [".", "mine.py"])
def test_a_job_whose_code_was_removed_trains_nothing_with_other_code_and_says_so(tmp_path, monkeypatch, part):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    Path("mine.py").write_text(MINE.format(answer=1))
    waiting = replace(LAUNCHER, jobs=1, extra={"hold": True})
    run = planned(0, model="mine.Mine")
    flight = Flight(SweepFolder(tmp_path / "results", "sweep"), [run], launcher=waiting, train="mine:train")
    submission = flight.submit()
    [(files, _)] = dispatches(flight.folder)
    (files.code / part).rename(tmp_path / "away")
    tool("scontrol", "release", ",".join(submission.job_ids))
    flight.landed()
    assert trained(flight.folder, run) == []
    write_atomically(flight.folder.plan, f"run_id,overrides,C\n{run.run_id},,1\n")
    assert f"found no {files.code}" in read_status(flight.folder).notes[0]
    assert "wanted the code as it was submitted" in read_status(flight.folder).notes[0]


MINE = """
from dataclasses import dataclass
from scaling.models.mlp import MLP
from tests.dispatch import stand_in

@dataclass(frozen=True)
class Mine(MLP):
    pass

def train(run, folder, **how):
    folder.path.mkdir(parents=True, exist_ok=True)
    (folder.path / "answer.txt").write_text("{answer}")
    return stand_in.train(run, folder, **how)
"""


def test_refusal_is_one_sentence_and_leaves_nothing(tmp_path):
    flight = sweep(tmp_path, 3, "steps", launcher=replace(LAUNCHER, partition="nowhere"))
    with pytest.raises(UserError, match="invalid partition") as caught:
        flight.submit()
    assert "\n" not in str(caught.value)
    assert dispatches(flight.folder) == []
    assert list(flight.folder.jobs.iterdir()) == []


def test_array_beyond_the_limit_is_dealt_in_chunks(tmp_path, monkeypatch):
    from scaling.dispatch.slurm import submit as module

    real = read_cluster()
    monkeypatch.setattr(module, "needed_cluster", lambda: replace(real, max_array=4))
    flight = sweep(tmp_path, 8, "steps", launcher=replace(LAUNCHER, jobs=7))
    submission = flight.submit()
    assert len(submission.job_ids) == 4  # 3 + 3 + 1, and the closing job
    flight.landed()
    assert len(flight.settled()) == 8


def test_a_limit_of_arrays_that_is_known_only_from_the_refusal_is_kept(tmp_path, monkeypatch):
    (tmp_path / "sbatch").write_text(FEW.format(real=shutil.which("sbatch")))
    (tmp_path / "sbatch").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    flight = sweep(tmp_path / "results", 8, "steps", launcher=replace(LAUNCHER, jobs=6))
    assert len(flight.submit().job_ids) == 3  # 3 + 3, and the closing job
    flight.landed()
    assert [len(trained(flight.folder, run)) for run in flight.runs] == [1] * 8


FEW = """#!/bin/sh
if grep -q "array=0-[3-9]" "$1"; then
    echo "sbatch: error: Batch job submission failed: Invalid job array specification" >&2
    exit 1
fi
exec {real} "$@"
"""


def test_what_the_cluster_says():
    found = read_cluster()
    assert found.max_array == 1001
    assert found.accounting == bool(os.environ.get("SCALING_SLURM_ACCOUNTING"))
    assert {partition.name: partition.nodes for partition in found.partitions} == {"gpu": 4, "low": 4}
    assert found.limit(None) is None
    assert any("gpu (default): 4 nodes of 8 CPUs, 16 GB, gpu:4" in line for line in describe_cluster())


def test_rehearsal_touches_nothing(tmp_path):
    flight = sweep(tmp_path / "results", 5, "steps")
    [sheet] = rehearse(order(flight.folder, flight.runs), flight.launcher)
    assert "#SBATCH --array=0-1%" in sheet.text
    assert ": 5 runs, " in sheet.title
    assert not flight.folder.path.exists()
    assert scheduler.all_jobs() == {}


def test_status_while_in_flight(tmp_path):
    flight = sweep(tmp_path, 3, "hold")
    flight.submit()
    claim = flight.working()
    status = flight.status()
    running = [run for run in status.runs if run.state == "running"]
    assert claim.job in {run.job for run in running}
    assert set(status.jobs.values()) >= {"RUNNING", "PENDING"}
    cancel(flight.folder)
    flight.landed()
