"""Workers are forked from a server, and are processes of their own for all that."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from scaling import devices
from scaling.dispatch.launchers import Local
from scaling.dispatch.local.forkserver import SET_ORDER, fork_server
from scaling.dispatch.local.jobs import Workers
from scaling.dispatch.local.pool import start_ahead
from scaling.dispatch.process import start_time
from scaling.errors import UserError
from tests.dispatch.conftest import STAND_IN, claims, order, run_quietly, trained, under_way
from tests.dispatch.local.test_run import LAUNCHER, dispatcher, run
from tests.dispatch.stand_in import planned
from tests.waiting import wait_for


def facts() -> dict:
    """Return what a job finds itself in."""
    return {
        "parent": os.getppid(),
        "leader": os.getsid(0) == os.getpid(),
        "place": str(Path.cwd()),
        "path": sys.path,
        "environment": dict(os.environ),
        "hash": hash("a text"),
        "child": os.waitstatus_to_exitcode(os.system("exit 3")),
    }


def test_sets_of_texts_have_one_order_in_every_worker(tmp_path):
    command = [sys.executable, "-c", "print(hash('a text'))"]
    said = subprocess.run(command, env={**SET_ORDER, **os.environ}, capture_output=True, text=True, check=True).stdout
    assert result_of(tmp_path)["hash"] == int(said)


def result_of(folder: Path, **environment: str) -> dict:
    return Workers(folder, fork_server(STAND_IN, 1), environment).submit(facts).result()


@pytest.mark.slow
def test_a_fork_finds_itself_where_it_was_ordered(tmp_path, monkeypatch):
    first = result_of(tmp_path / "jobs")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SAID", "later")
    monkeypatch.syspath_prepend("elsewhere")
    second = result_of(tmp_path / "jobs", CUDA_VISIBLE_DEVICES="3")
    assert second["parent"] == first["parent"]  # the same server, which knew none of this
    assert (second["place"], second["path"]) == (str(tmp_path), sys.path)
    assert {"SAID": "later", "CUDA_VISIBLE_DEVICES": "3"}.items() <= second["environment"].items()
    assert "SAID" not in first["environment"]
    assert second["leader"]
    assert second["child"] == 3


@pytest.mark.slow
def test_the_server_ends_with_its_dispatcher(folder):
    started = dispatcher(folder, "hold", 2)
    under_way(folder, [planned(seed, "hold") for seed in range(2)], 2)
    [server] = {parent_of(claim.process.pid) for claim in claims(folder)}
    assert server != started.pid
    started.kill()
    started.wait()
    wait_for(lambda: start_time(server) is None)


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


@pytest.mark.slow
def test_a_server_that_was_killed_is_replaced(folder):
    run(folder, [planned(0)])
    killed = fork_server(STAND_IN, LAUNCHER.threads)
    os.kill(result_of(folder.jobs)["parent"], signal.SIGKILL)
    wait_for(lambda: not killed.alive)
    run(folder, [planned(1)])
    assert len(trained(folder, planned(1))) == 1


def test_workers_that_are_not_wanted_are_not_waited_for(folder):
    asked = order(folder, [planned(seed) for seed in range(2)])
    pool = start_ahead(asked, Local(workers=2, threads=3), most=2)  # a server that is still at its imports
    pool.close()
    assert all(job.done() for job in pool.jobs)
    assert not pool.dispatch.path.exists()


@pytest.mark.slow
def test_what_cannot_be_imported_is_told_by_the_workers(folder):
    with pytest.raises(UserError, match="every worker died at its start"):
        run_quietly(order(folder, [planned(0)], train="tests.dispatch.nowhere:train"), Local(workers=1))
    log, *_ = folder.jobs.glob("*/*.err")  # those who took its place died alike
    assert "No module named 'tests.dispatch.nowhere'" in log.read_text()


@pytest.mark.skipif(not devices.gpus(), reason="needs a GPU")
def test_a_fork_of_what_has_imported_torch_uses_the_gpu(tmp_path):
    def add() -> float:
        import torch

        return float(torch.ones(3, device="cuda").sum())

    jobs = [Workers(tmp_path, fork_server("scaling.train.run:train_run", 1), {}).submit(add) for _ in range(2)]
    assert [job.result() for job in jobs] == [3.0, 3.0]
