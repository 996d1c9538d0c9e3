"""One run in this process leaves what a worker leaves."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from scaling.dispatch.claims.claim import acquire
from scaling.dispatch.launchers import Local
from scaling.dispatch.single import run_single
from scaling.errors import UserError
from tests.dispatch.conftest import STAND_IN, causes, leftovers, meanwhile, open_gates, order, trained, under_way
from tests.dispatch.stand_in import planned

QUICK = Local(beat_seconds=0.1)


def single(folder, run, **more):
    return run_single(order(folder, [run], single=True), QUICK, **more)


def test_settles_once_and_reports_progress(folder):
    run, seen = planned(0), []
    outcome = single(folder, run, watch=seen.append)
    assert (outcome.settled, outcome.found, outcome.exit_code) == (1, 0, 0)
    assert [progress.step for progress in seen] == list(range(1, 11))
    assert single(folder, run).found == 1
    assert len(trained(folder, run)) == 1
    assert causes(folder, run) == ["finished"]
    assert leftovers(folder) == []


def test_refused_is_an_error_and_a_crash_a_failure(folder, caplog):
    with pytest.raises(UserError, match="found no data"):
        single(folder, planned(0, "refuse"))
    outcome = single(folder, planned(1, "crash"))
    assert (outcome.exit_code, outcome.failures[0].cause) == (1, "crashed")
    assert [each for each in caplog.records if each.levelno >= logging.WARNING] == []  # the command says it, once


def test_a_run_whose_files_are_out_of_reach_is_one_sentence(folder):
    run = planned(0)
    files = folder.run(run.run_id)
    files.path.parent.mkdir(parents=True)
    (folder.results / "elsewhere").mkdir()
    files.path.symlink_to(folder.results / "elsewhere")
    with pytest.raises(UserError, match=r"out of reach .*symbolic links"):
        single(folder, run)


def test_run_in_other_hands_is_left_alone(folder):
    run = planned(0)
    acquire(folder.run(run.run_id).claim)
    with pytest.raises(UserError, match=f"being trained by process {os.getpid()}"):
        single(folder, run)
    assert trained(folder, run) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupt_leaves_a_checkpoint(folder, number):
    run, before = planned(0, "hold"), signal.getsignal(number)
    with meanwhile(lambda: (under_way(folder, [run]), os.kill(os.getpid(), number))):
        outcome = single(folder, run)
    assert (outcome.stopped, outcome.exit_code) == (True, 130)
    assert folder.run(run.run_id).checkpoint.exists()
    open_gates(folder, [run])  # it may have been interrupted before it held
    assert single(folder, run).settled == 1
    assert causes(folder, run) == ["interrupted", "finished"]
    [line] = trained(folder, run)
    assert line["from"] > 0
    assert signal.getsignal(number) is before


def test_killed_process_is_followed_at_once(folder):
    run = planned(0, "hold")
    script = f"""
from dataclasses import replace
from pathlib import Path
from scaling.dispatch.launchers import Local
from scaling.dispatch.order import order_of
from scaling.dispatch.single import run_single
from scaling.folders import SweepFolder
from tests.dispatch.stand_in import planned
folder = SweepFolder(Path({str(folder.results)!r}), "sweep")
run_single(replace(order_of(folder, [planned(0, "hold")], single=True), train={STAND_IN!r}), Local())
"""
    process = subprocess.Popen([sys.executable, "-c", script], cwd=Path(__file__).parents[2])
    under_way(folder, [run])
    process.kill()
    process.wait()
    open_gates(folder, [run])
    assert single(folder, run).settled == 1
    assert causes(folder, run) == ["killed", "finished"]
