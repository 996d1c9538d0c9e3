"""What happens to the cluster itself happens to a sweep in flight: its table ends the same. Slow: `make test-slurm`."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest

from scaling.dispatch import scheduler
from scaling.dispatch.launchers import Local
from scaling.dispatch.local import run_local
from scaling.dispatch.process import start_time
from tests.dispatch.conftest import STAND_IN, causes, leftovers, trained, wait_for
from tests.slurm.sweeps import LAUNCHER, sweep, tool

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("cluster")]
RUNS = 6


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    flight = sweep(tmp_path_factory.mktemp("expected"), RUNS, "steps:0")
    run_local(flight.folder, flight.runs, Local(workers=2), train=STAND_IN)
    return flight.records()


@pytest.fixture(autouse=True)
def healthy(cluster):
    """Begin with an empty queue and four idle nodes."""
    tool("scancel", "--user=root")
    wait_for(lambda: scheduler.all_states() == {}, 60)
    mend_nodes()


def mend_nodes() -> None:
    """Bring every node back; SLURM refuses while a node is still ending jobs, so ask until it is done."""

    def well() -> bool:
        states = [line.split() for line in tool("sinfo", "--noheader", "--Node", "--format=%N %T").splitlines()]
        ill = {node for node, state in states if not re.match(r"(idle|mixed|allocated)$", state)}
        for node in ill:
            subprocess.run(["scontrol", "update", f"nodename={node}", "state=resume"], capture_output=True, check=False)
        return not ill

    wait_for(well, 90)


def check(flight, expected, *causes_allowed):
    assert flight.records() == expected
    assert [len(trained(flight.folder, run)) for run in flight.runs] == [1] * RUNS
    assert leftovers(flight.folder) == []
    struck = [causes(flight.folder, run) for run in flight.runs if causes(flight.folder, run) != ["finished"]]
    assert struck
    for told in struck:
        assert told[-1] == "finished"
        assert set(told[:-1]) <= set(causes_allowed), told


def node_of(flight):
    return flight.working().process.host


def test_node_set_down_and_returned(tmp_path, expected):
    flight = sweep(tmp_path, RUNS, "steps:2")
    flight.submit()
    node = node_of(flight)
    tool("scontrol", "update", f"nodename={node}", "state=down", "reason=test")
    time.sleep(2)
    mend_nodes()
    flight.landed()
    check(flight, expected, "node_lost", "terminated", "requeued", "killed", "cancelled")


def test_slurmd_killed(tmp_path, expected, cluster):
    """The daemon of a node dies and comes back; its jobs go on, or are sent elsewhere."""
    flight = sweep(tmp_path, RUNS, "steps:2")
    flight.submit()
    node = node_of(flight)
    os.kill(int((cluster / "run" / f"slurmd.{node}.pid").read_text()), signal.SIGKILL)
    time.sleep(2)
    subprocess.run(["slurmd", "-N", node], check=True)
    flight.landed(180)
    assert flight.records() == expected
    assert [len(trained(flight.folder, run)) for run in flight.runs] == [1] * RUNS


def test_slurmctld_restarted(tmp_path, expected, cluster):
    flight = sweep(tmp_path, RUNS, "steps:2")
    flight.submit()
    claim = flight.working()
    controller = int((cluster / "run" / "slurmctld.pid").read_text())
    os.kill(controller, signal.SIGTERM)  # killed outright it forgets jobs of the last seconds, which nobody can mend
    wait_for(lambda: start_time(controller) is None, 60)
    os.kill(claim.process.pid, signal.SIGKILL)  # a claim to be judged while SLURM is silent
    assert flight.status().counts["finished"] < RUNS  # status does without SLURM, and says so
    time.sleep(3)
    subprocess.run(["slurmctld"], check=True)
    flight.landed(180)
    check(flight, expected, "killed", "requeued")


def test_preempted_by_a_higher_partition(tmp_path, expected):
    flight = sweep(tmp_path, RUNS, "steps:6", launcher=replace(LAUNCHER, partition="low"))
    flight.submit()
    flight.working()
    urgent = ["--partition=gpu", "--nodes=4", "--ntasks-per-node=8", "--mem=15000", "--output=/dev/null"]
    urgent += ["--wrap", "sleep 3"]
    job = tool("sbatch", "--parsable", *urgent).strip()
    wait_for(lambda: "RUNNING" in tool("squeue", "--noheader", f"--jobs={job}", "--format=%T"), 60)
    flight.landed(180)
    check(flight, expected, "preempted")


def test_time_limit_shorter_than_the_hand(tmp_path, expected):
    """Two minutes for three minutes of work: the warning, a checkpoint, the queue, and on."""
    launcher = replace(LAUNCHER, jobs=1, minutes=1, signal_seconds=20)
    flight = sweep(tmp_path, RUNS, "steps:15", launcher=launcher)
    flight.submit()
    flight.landed(400)
    check(flight, expected, "timed_out", "preempted")


def test_disk_full_for_ten_seconds(tmp_path, expected):
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", disk], check=True)
    try:
        flight = sweep(disk, RUNS, "steps:4")
        flight.submit()
        flight.working()
        filler = disk / "filler"
        fill(filler)
        time.sleep(10)
        filler.unlink()
        flight.landed(180)
        assert flight.records() == expected
        assert sum(len(trained(flight.folder, run)) for run in flight.runs) == RUNS
        assert leftovers(flight.folder) == []
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)


def fill(path: Path) -> None:
    with path.open("wb") as file:
        for block in (b"\0" * 65536, b"\0" * 512):
            while True:
                try:
                    os.write(file.fileno(), block)
                except OSError:
                    break
