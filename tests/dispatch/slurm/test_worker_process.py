"""A run that kills its worker costs the job that worker alone: the next one begins in the same job."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from scaling.dispatch.slurm.worker_process import ANEW, DEATHS, listen, oom_kills, run_in_child
from tests.waiting import wait_for


def test_a_dead_worker_is_replaced_and_the_next_one_knows_why_it_died(tmp_path):
    def work(deaths):
        (tmp_path / str(os.getpid())).touch()
        assert sorted(map(str, deaths)) == sorted({path.name for path in tmp_path.iterdir()} - {str(os.getpid())})
        assert set(deaths.values()) <= {"killed"}
        if len(deaths) < 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return 0

    assert run_in_child(work) == 0
    assert len(list(tmp_path.iterdir())) == 3


def test_a_worker_that_asks_for_it_is_replaced(tmp_path):
    def work(deaths):
        assert deaths == {}
        try:
            (tmp_path / "worn").touch(exist_ok=False)
        except FileExistsError:
            return 7
        return ANEW

    assert run_in_child(work) == 7


def test_workers_that_always_die_are_given_up(tmp_path):
    def work(deaths):
        (tmp_path / str(len(deaths))).touch()
        os.kill(os.getpid(), signal.SIGKILL)

    assert run_in_child(work) == 128 + signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == DEATHS + 1


def test_an_error_of_the_worker_is_the_end(tmp_path):
    def work(deaths):
        (tmp_path / str(os.getpid())).touch()
        raise ValueError("no")

    assert run_in_child(work) == 1
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR2])
def test_signals_reach_the_worker_and_one_that_is_killed_then_is_not_replaced(tmp_path, number):
    """Also where another thread of the job's first process receives them."""

    def work(deaths):
        told = []
        signal.signal(number, lambda received, _: told.append(received))
        os.kill(os.getppid(), number)  # also one that comes before it is listened to
        listen()
        wait_for(lambda: told)
        (tmp_path / str(os.getpid())).touch()
        os.kill(os.getpid(), signal.SIGKILL)

    handler, end = signal.getsignal(number), threading.Event()
    other = threading.Thread(target=end.wait)
    other.start()
    try:
        assert run_in_child(work) == 128 + signal.SIGKILL
    finally:
        end.set()
        other.join()
    assert len(list(tmp_path.iterdir())) == 1
    assert signal.getsignal(number) is handler


@pytest.mark.parametrize(
    ("own", "file"),
    [
        ("9:memory:/slurm/job_7/step_batch\n1:cpu:/\n", "memory/slurm/job_7/step_batch/memory.oom_control"),
        ("0::/system.slice/job_7\n", "system.slice/job_7/memory.events"),
    ],
)
def test_what_the_kernel_kills_for_want_of_memory_is_counted(tmp_path, own, file):
    (tmp_path / "cgroup").write_text(own)
    assert oom_kills(tmp_path / "cgroup", tmp_path) == 0
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 3\n")
    assert oom_kills(tmp_path / "cgroup", tmp_path) == 3
    assert oom_kills(tmp_path / "none", tmp_path) == 0
