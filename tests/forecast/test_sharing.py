"""How many processes share a GPU: as many as gain, fit into its memory and find it idle; and what others cost a CPU."""

from __future__ import annotations

import math
import os
import sys

import pytest
import torch

from scaling.dispatch.launchers import Local
from scaling.dispatch.local.capacity import workers_for, workers_per_gpu
from scaling.forecast import probe, sharing
from scaling.forecast.sharing import SharingProcesses, processes_that_pay
from scaling.forecast.speed import Speed, keep_speed

SEEN = {"1": 1.0, "2": 1.9, "4": 3.1, "8": 3.2}
GB = 10**9
IDLE = [(1e9, 2.0)] * 10  # FLOPs and seconds: launches and little else
SPEED = Speed("a card", "cuda", 1, "2", {}, {}, 0.1, 0.1, "2026", products={"tf32": 4e14}, memory=80 * GB, sharing=SEEN)


@pytest.fixture(autouse=True)
def many_cores(monkeypatch):
    monkeypatch.setattr(sharing, "cores", lambda: 16)


def pays(seen=SEEN, *, work=IDLE, memory=GB, card=80 * GB):
    return processes_that_pay(seen, products=4e14, card=card, work=work, memory=[memory])


def test_processes_are_added_while_twice_as_many_pay():
    assert pays() == 4
    assert pays({"1": 1.0, "2": 1.05, "4": 4.0}) == 1
    assert pays({"1": 1.0, "2": 2.0, "4": 4.0, "8": 8.0}) == 8


def test_they_fit_into_memory_and_leave_a_busy_gpu_alone(monkeypatch):
    assert pays(memory=30 * GB) == 2
    assert pays(memory=75 * GB) == 1
    assert pays(work=[(1e14, 1.0)]) == 2  # a quarter of what it can
    assert pays(work=[(3e14, 1.0)]) == 1
    monkeypatch.setattr(sharing, "cores", lambda: 3)
    assert pays() == 3


def test_where_nothing_is_known_a_gpu_has_one():
    assert pays({}) == pays(work=[(1e9, None)]) == pays(card=0) == 1


def test_workers_are_as_many_as_set_or_as_pay(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    asked = {"work": IDLE, "memory": [GB], "stacked": False}
    assert workers_per_gpu(1, **asked) == 1  # not probed
    keep_speed(SPEED)
    assert workers_per_gpu(1, **asked) == 4
    assert workers_per_gpu(1, **{**asked, "stacked": True}) == 1
    assert workers_for(Local(), gpus=2, per_gpu=4) == 8
    assert workers_for(Local(workers=3), gpus=2, per_gpu=4) == 3
    assert workers_for(Local(), gpus=2, per_gpu=4, most=5) == 5


WORKER = """#!{python}
import os, sys
for line in sys.stdin:
    with open({log!r}, "a") as log:
        log.write(f"{{os.getpid()}} {{os.getsid(0)}} {{line}}")
    print(100, flush=True)
"""


@pytest.fixture
def log(tmp_path, monkeypatch):
    """Where processes that only answer write what they are asked, in sessions of which ids."""
    worker, log = tmp_path / "worker", tmp_path / "log"
    worker.write_text(WORKER.format(python=sys.executable, log=str(log)))
    worker.chmod(0o755)
    monkeypatch.setattr(sharing.sys, "executable", str(worker))
    return log


def test_none_is_timed_while_another_one_starts(log):
    with SharingProcesses("cuda") as processes:
        assert processes.gains() == {"1": 1.0, "2": 2.0, "4": 4.0, "8": 8.0}
    asked = [line.split() for line in log.read_text().splitlines()]
    timed = [place for place, (_, _, seconds) in enumerate(asked) if float(seconds) > 0]
    assert len(timed) == 1 + 2 + 4 + 8
    assert len({process for process, _, _ in asked[: timed[3]]}) == 8


def test_ctrl_c_reaches_none_of_them_and_the_end_of_the_block_all(log):
    with SharingProcesses("cuda") as processes:
        processes.gains()
    asked = [line.split() for line in log.read_text().splitlines()]
    assert str(os.getsid(0)) not in {session for _, session, _ in asked}
    for process in {int(process) for process, _, _ in asked}:
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)


@pytest.mark.slow
def test_processes_are_timed_together(monkeypatch):
    monkeypatch.setattr(sharing, "COUNTS", (1, 2))
    with SharingProcesses("cpu") as processes:
        found = processes.gains()
    assert found.keys() == {"1", "2"}
    assert found["1"] == 1.0
    assert 0 < found["2"] < math.inf


@pytest.mark.parametrize(("slower", "found"), [((1.2, 1.3, 1.1), 1.2), ((0.9, 1.0, 0.8), 1.0)])
def test_steps_of_a_cpu_are_timed_while_its_other_cores_train(slower, found, log, monkeypatch):
    times = iter([seconds for each in slower for seconds in (2.0, 2.0 * each)])
    monkeypatch.setattr(probe, "_step_seconds", lambda *_: next(times))
    monkeypatch.setattr(probe, "cores", lambda: 4)
    with SharingProcesses("cpu") as processes:
        assert probe._crowded(processes, torch.device("cpu"), 2) == pytest.approx(found)
    asked = [line.split() for line in log.read_text().splitlines()]
    assert len({process for process, _, _ in asked}) == 2  # the cores that this one's threads leave
    assert sorted(float(seconds) for _, _, seconds in asked) == [0.0] * 2 + [sharing.SECONDS] * 6


def test_a_single_core_has_no_others(log, monkeypatch):
    monkeypatch.setattr(probe, "cores", lambda: 1)
    with SharingProcesses("cpu") as processes:
        assert probe._crowded(processes, torch.device("cpu"), 1) == 1.0
    assert not log.exists()


def test_a_probe_goes_on_where_other_processes_cannot_train(monkeypatch, caplog):
    monkeypatch.setattr(sharing.sys, "executable", "/bin/false")
    monkeypatch.setattr(probe, "cores", lambda: 2)
    with SharingProcesses("cpu") as processes:
        assert probe._crowded(processes, torch.device("cpu"), 1) == 1.0
    assert "could not be timed" in caplog.text
