"""A sweep on SLURM that is paused, and runs that go first."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from scaling.dispatch.states.front import move_to_front
from scaling.dispatch.states.paused import lift_pause, pause
from scaling.folders import write_atomically
from scaling.plan.rows import to_csv
from tests.dispatch.conftest import at_work, causes, trained
from tests.slurm.sweeps import LAUNCHER, sweep
from tests.waiting import wait_for, write_gate

pytestmark = [pytest.mark.usefixtures("cluster"), pytest.mark.slow]


def test_running_jobs_take_the_front_leave_in_a_pause_and_new_ones_go_on(tmp_path):
    flight = sweep(tmp_path, 6, "hold", launcher=replace(LAUNCHER, jobs=1))
    submission = flight.submit()
    flight.working()
    [held] = at_work(flight.folder, flight.runs)
    write_atomically(
        flight.folder.plan, to_csv([{"run_id": run.run_id, "overrides": "", "C": 1} for run in flight.runs])
    )
    last = next(run for run in reversed(flight.runs) if run is not held)
    move_to_front(flight.folder, [last.run_id])
    flight.open(held)
    wait_for(lambda: at_work(flight.folder, [last]))
    pause(flight.folder)
    flight.landed()  # the closing job among them, which has found the pause and left
    assert causes(flight.folder, last) == ["paused"]
    assert [run for run in flight.runs if causes(flight.folder, run)] == [
        run for run in flight.runs if run in (held, last)
    ]
    lift_pause(flight.folder)
    flight.open()
    assert (flight.submit().queued, submission.queued) == (5, 6)
    flight.landed()
    assert [len(trained(flight.folder, run)) for run in flight.runs] == [1] * 6


def test_who_waits_for_a_sweep_that_is_paused_is_told_how_to_go_on(scaling):
    gate = write_gate(scaling.folder)
    asked = ["run", "schedule=waiting", "seed=0,1", "train.steps=10", "train.device=cpu", "name=mine", "launcher=slurm"]
    asked += ["launcher.gpus=0", "launcher.cpus=1", "launcher.min_memory_gb=1", "launcher.jobs=1"]
    command = [sys.executable, "-m", "scaling", *asked, "--wait"]
    waiting = subprocess.Popen(command, cwd=scaling.folder, stdout=subprocess.PIPE, text=True)
    wait_for(lambda: list(scaling.folder.glob("results/runs/*/claim.json")))
    scaling("pause", "results/mine")
    gate.touch()  # the run under way, which waits inside its last step, comes to it and ends
    said, _ = waiting.communicate(timeout=600)
    assert waiting.returncode == 130
    assert "stopped; nothing is lost; to continue: scaling resume results/mine" in said
    assert "2/2 runs settled: 1 now" in scaling.outside("resume", "results/mine", "--wait")
