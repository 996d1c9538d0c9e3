"""What happens to the cluster itself happens to a sweep in flight: its table ends the same. Slow: `make test-slurm`."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from scaling.dispatch.claims.claim import read_claim
from scaling.dispatch.launchers import Local
from scaling.dispatch.process import start_time
from scaling.dispatch.slurm import scheduler
from scaling.folders import RunFolder
from scaling.plan.planned import PlannedRun
from tests.dispatch import stand_in
from tests.dispatch.conftest import at_work, causes, leftovers, order, run_quietly, trained
from tests.slurm.sweeps import LAUNCHER, ended, sweep, tool
from tests.waiting import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("cluster")]
RUNS = 6


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    flight = sweep(tmp_path_factory.mktemp("expected"), RUNS, "steps")
    run_quietly(order(flight.folder, flight.runs), Local(workers=2))
    return flight.records()


@pytest.fixture(autouse=True)
def healthy(cluster):
    """Begin with four idle nodes."""
    mend_nodes()


def mend_nodes() -> None:
    """Bring every node back; SLURM refuses while a node is still ending jobs, so ask until it is done."""

    def well() -> bool:
        states = [line.split() for line in tool("sinfo", "--noheader", "--Node", "--format=%N %T").splitlines()]
        ill = {node for node, state in states if not re.match(r"(idle|mixed|allocated)$", state)}
        for node in ill:
            subprocess.run(["scontrol", "update", f"nodename={node}", "state=resume"], capture_output=True, check=False)
        return not ill

    wait_for(well)


def check(flight, expected, *causes_allowed):
    assert flight.records() == expected
    assert [len(trained(flight.folder, run)) for run in flight.runs] == [1] * RUNS
    assert leftovers(flight.folder) == []
    struck = [causes(flight.folder, run) for run in flight.runs if causes(flight.folder, run) != ["finished"]]
    assert struck
    for told in struck:
        assert told[-1] == "finished"
        assert set(told[:-1]) <= set(causes_allowed), told


def test_jobs_whose_process_is_worn_by_a_run_go_on_as_new_ones(tmp_path):
    flight = sweep(tmp_path, 4, "wear")
    flight.submit()
    flight.landed()
    assert [causes(flight.folder, run) for run in flight.runs] == [["finished"]] * 4
    assert leftovers(flight.folder) == []


def test_node_set_down_and_returned(tmp_path, expected):
    flight = sweep(tmp_path, RUNS, "hold")
    flight.submit()
    claim = flight.working()
    tool("scontrol", "update", f"nodename={claim.process.host}", "state=down", "reason=test")
    ended(claim)
    mend_nodes()
    flight.open()
    flight.landed()
    check(flight, expected, "node_lost", "terminated", "requeued", "killed", "cancelled")


def test_slurmd_killed(tmp_path, expected, cluster):
    """The daemon of a node dies and comes back; its jobs go on, or are sent elsewhere."""
    flight = sweep(tmp_path, RUNS, "hold")
    flight.submit()
    node = flight.working().process.host
    daemon = int((cluster / "run" / f"slurmd.{node}.pid").read_text())
    os.kill(daemon, signal.SIGKILL)
    wait_for(lambda: start_time(daemon) is None)
    flight.open()
    wait_for(flight.settled)
    subprocess.run(["slurmd", "-N", node], check=True)
    flight.landed()
    assert flight.records() == expected
    assert [len(trained(flight.folder, run)) for run in flight.runs] == [1] * RUNS


def test_slurmctld_restarted(tmp_path, expected, cluster):
    """A worker dies while SLURM is silent; the other one finds that out by itself, and settles everything."""
    flight = sweep(tmp_path, RUNS, "hold")
    flight.submit()
    claim = flight.working(2)
    controller = int((cluster / "run" / "slurmctld.pid").read_text())
    os.kill(controller, signal.SIGTERM)  # killed outright it forgets jobs of the last seconds, which nobody can mend
    wait_for(lambda: start_time(controller) is None)
    os.kill(claim.process.pid, signal.SIGKILL)
    ended(claim)
    assert flight.status().counts["finished"] == 0  # status does without SLURM, and says so
    flight.open()
    wait_for(lambda: len(flight.settled()) == RUNS)
    subprocess.run(["slurmctld"], check=True)
    flight.landed()
    check(flight, expected, "killed", "requeued")


def test_preempted_by_a_higher_partition(tmp_path, expected):
    flight = sweep(tmp_path, RUNS, "hold", launcher=replace(LAUNCHER, partition="low"))
    flight.submit()
    claim = flight.working()
    urgent = ["--partition=gpu", "--nodes=4", "--ntasks-per-node=8", "--mem=15000", "--output=/dev/null"]
    tool("sbatch", *urgent, "--wrap", "sleep 3")
    ended(claim)
    flight.open()
    flight.landed()
    check(flight, expected, "preempted")


def test_time_limit_shorter_than_the_hand(tmp_path, expected):
    """The warning before the end of a minute, a checkpoint, the queue, and on."""
    launcher = replace(LAUNCHER, jobs=1, minutes=1, signal_seconds=20)
    flight = sweep(tmp_path, RUNS, "hold", launcher=launcher)
    flight.submit()
    ended(flight.working())
    flight.open()
    flight.landed()
    check(flight, expected, "timed_out", "preempted")


def test_disk_full_for_a_while(tmp_path, expected):
    """Both workers meet the full disk and wait for space; then all goes on."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", disk], check=True)
    try:
        flight = sweep(disk, RUNS, "hold", train="tests.slurm.test_cluster_faults:train_told")
        flight.submit()
        flight.working(2)
        filler = disk / "filler"
        fill(filler)
        flight.open()
        wait_for(lambda: len(list(tmp_path.glob("met-*"))) == 2)
        assert flight.settled() == []
        filler.unlink()
        flight.landed()
        assert flight.records() == expected
        assert [causes(flight.folder, run) for run in flight.runs] == [["finished"]] * RUNS
        assert leftovers(flight.folder) == []
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)


def train_told(run: PlannedRun, folder: RunFolder, **how):
    """Train, and where the disk is full, tell it beside the disk."""
    try:
        return stand_in.train(run, folder, **how)
    except OSError:
        (folder.path.parents[2] / f"met-{run.run_id}").touch()
        raise


def fill(path: Path) -> None:
    with path.open("wb") as file:
        for block in (b"\0" * 65536, b"\0" * 512):
            while True:
                try:
                    os.write(file.fileno(), block)
                except OSError:
                    break


def test_suspended_and_resumed(tmp_path, expected):
    """A job that stands still has its run to itself, however long, and goes on with it."""
    flight = sweep(tmp_path, RUNS, "hold")
    flight.submit()
    claim = flight.working(2)
    tool("scontrol", "suspend", claim.job)
    wait_for(lambda: scheduler.all_jobs()[claim.job].state == "SUSPENDED")
    held = at_work(flight.folder, flight.runs)
    [run] = [run for run in held if read_claim(flight.files(run).claim).token == claim.token]
    flight.open()
    wait_for(lambda: len(flight.settled()) == RUNS - 1)  # the other job has done all that it may
    assert flight.status().counts["running"] == 1
    tool("scontrol", "resume", claim.job)
    flight.landed()
    assert flight.records() == expected
    assert [causes(flight.folder, each) for each in flight.runs] == [["finished"]] * RUNS
    assert [line["job"] for line in trained(flight.folder, run)] == [claim.job]
