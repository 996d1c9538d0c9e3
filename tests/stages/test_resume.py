"""Killed at any moment and started again, every stage ends with the record of one never stopped."""

from __future__ import annotations

import signal
from multiprocessing import get_context
from pathlib import Path
from time import monotonic, sleep

import pytest
import torch

from scaling.folders import RunFolder, read_lines
from scaling.plan.planned import PlannedRun
from scaling.train.output.kept_weights import read_kept_weights
from scaling.train.run import train_run
from tests.stages.family import child_run, done, folder_of, parent_run
from tests.train.runs import essence

SLOW = {"epochs": None, "steps": 700, "milestones": 8, "checkpoint_seconds": 0.0, "keep": "last"}
PARENT = parent_run()
CASES = {
    "probe": child_run(PARENT, "probe", train=SLOW),
    "finetune": child_run(
        PARENT, "finetune", train=SLOW, optim={"is": "sgd", "lr": 0.01, "momentum": 0.9, "body_share": 0.1}
    ),
    "tta": child_run(PARENT, {"is": "tta", "crops": 300}),
    "ridge": child_run(PARENT, {"is": "ridge", "penalties": [10**-k for k in range(300)]}),
}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    found = tmp_path_factory.mktemp("results")
    done(PARENT, found)
    return found


def kill(case: str, results: Path) -> None:
    """Start a process that does the stage, and kill it when it has taken some points, or a moment after it began."""
    run = CASES[case]
    folder = folder_of(run, results)
    child = get_context("fork").Process(target=train_run, args=(run, folder), kwargs={"device": "cpu"})
    child.start()
    until = monotonic() + 60
    while child.is_alive() and monotonic() < until and not begun(run, folder):
        sleep(0.002)
    child.kill()
    child.join()
    assert child.exitcode == -signal.SIGKILL, "it ended before it could be killed"


def begun(run: PlannedRun, folder: RunFolder) -> bool:
    """Tell whether a run has taken some points, or has begun where it takes but one."""
    return sum(1 for _ in read_lines(folder.log)) >= 3 if run.config.stage.trains else folder.config.exists()


@pytest.mark.parametrize("case", CASES)
def test_a_killed_stage_ends_with_the_same_record(case, results, tmp_path):
    run = CASES[case]
    kill(case, results)
    folder = folder_of(run, results)
    assert not folder.record.exists()
    assert folder.checkpoint.exists() == run.config.stage.trains
    resumed = train_run(run, folder, device="cpu")
    weights = read_kept_weights(folder, run.quantities.steps) if run.config.stage.trains else {}
    folder.record.unlink()
    straight = train_run(run, folder, device="cpu")
    assert essence(resumed) == essence(straight)
    assert not folder.checkpoint.exists()
    if weights:
        again = read_kept_weights(folder, run.quantities.steps)
        assert all(torch.equal(weights[name], again[name]) for name in weights)
