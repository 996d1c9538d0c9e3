"""A results folder that version 0.1.0 wrote is read, collected, fitted and continued; its queued jobs still start."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from submitit.core.utils import DelayedSubmission

from scaling.dispatch.worker import Task
from scaling.folders import RunFolder

BEFORE = Path(__file__).parent / "fixtures" / "results_of_0.1.0.tar.gz"
HALF_DONE = "model.width=16 train.steps=16000"


@pytest.fixture
def before(scaling):
    """Return a command line in a folder with the sweep and the results of the version before."""
    shutil.unpack_archive(BEFORE, scaling.folder)
    return scaling


def half_done(folder: Path) -> RunFolder:
    [checkpoint] = folder.glob("results/runs/*/checkpoint")
    return RunFolder(checkpoint.parent)


def test_status_knows_what_is_settled(before):
    status = json.loads(before("status", "results/before", "--json", "-"))
    assert (status["counts"]["finished"], status["counts"]["missing"]) == (10, 1)
    assert [run["label"] for run in status["runs"] if run["state"] == "missing"] == [HALF_DONE]


@pytest.mark.parametrize(("name", "table"), [("before", "table.csv"), ("odd", "odd.csv")])
def test_the_table_is_the_same(before, name, table):
    before("collect", f"results/{name}", "-o", "now.csv")
    now, then = pd.read_csv(before.folder / "now.csv"), pd.read_csv(before.folder / table)
    pd.testing.assert_frame_equal(now[then.columns], then)


def test_the_fit_has_the_same_digits(before):
    told = ("--task", "test", "--law", "power", "--x", "N", "--resamples", "0", "--json", "-")
    now, then = json.loads(before("fit", "results/before", *told)), json.loads((before.folder / "fit.json").read_text())
    for name in ("law", "y", "n_points", "n_runs"):
        assert now[name] == then[name]
    assert now["objective"] == then["objective"] | {"value": pytest.approx(then["objective"]["value"], rel=1e-9)}
    assert now["params"] == pytest.approx(then["params"], rel=1e-9)


@pytest.mark.slow
def test_the_sweep_goes_on_from_its_checkpoint(before):
    assert json.loads(before("plan", "sweep=before", "--json", "-"))["total"]["settled_by_older_recipe"] == 10
    assert "10 runs to go are settled by an older recipe: --recipe 1" in before("plan", "sweep=before")
    plan = json.loads(before("plan", "sweep=before", "--recipe", "1", "--json", "-"))
    assert plan["total"]["settled_by_older_recipe"] == 0
    ids = pd.read_csv(before.folder / "results/before/plan.csv")["run_id"]
    assert [run["run_id"] for run in plan["runs"]] == list(ids)
    files = half_done(before.folder)
    started = {path: path.stat().st_mtime_ns for path in before.folder.glob("results/runs/*/record.json")}
    before("run", "sweep=before", "--recipe", "1", "launcher.workers=1")
    assert files.record.exists()
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in started.items()), "a settled run was trained again"
    attempts = [json.loads(line) for line in files.attempts.read_text().splitlines()]
    assert [attempt["cause"] for attempt in attempts] == ["interrupted", "finished"]
    assert not list(files.path.glob("checkpoint.*")), "its checkpoint was set aside, not read"


@pytest.mark.parametrize("name", ["local_submitted.pkl", "slurm_submitted.pkl"])
def test_jobs_that_were_queued_before_the_upgrade_still_start(before, name):
    job = DelayedSubmission.load(before.folder / name)
    assert callable(job.function)
    assert isinstance(job.function.task, Task)
    assert job.function.dispatch.queue.name == "queue.jsonl"
