"""A run that goes on from a longer one ends bit for bit as the run trained alone, whatever happens on the way."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from scaling.dispatch.states.settled import Settled
from scaling.plan.trunk import share_trunks
from scaling.train.output.checkpoint import read_checkpoint, write_checkpoint
from scaling.train.run import train_run
from tests.train.runs import essence, folder_of, planned, stopped_after

CASES = {
    "fresh": {"optim": "adamw"},
    "subset": {"data": {"is": "blobs", "size": 100}, "optim": {"is": "sgd", "lr": 0.1, "momentum": 0.9}},
    "dropout": {"model": {"is": "mlp", "width": 8, "depth": 1, "dropout": 0.2}, "optim": {"is": "lion", "lr": 1e-3}},
}


def runs_of(**keys):
    made = [planned({"steps": steps}, schedule="wsd", **keys) for steps in (20, 40, 80)]
    return list(share_trunks({run.run_id: run for run in made}).values())


def done(run, results, **how):
    return train_run(run, folder_of(run, results), device="cpu", **how)


def forks(results):
    return sorted(path.name for path in results.glob("runs/*/forks/*"))


@pytest.mark.parametrize("case", CASES)
def test_branches_end_as_runs_trained_alone(case, tmp_path):
    runs = runs_of(**CASES[case])
    trunk = runs[-1]
    together = {run.run_id: done(run, tmp_path / "a") for run in (trunk, *runs[:-1])}
    assert forks(tmp_path / "a") == []
    for run in runs:
        alone = done(dataclasses.replace(run, fork=None, forks=()), tmp_path / "b")
        assert essence(together[run.run_id]) == essence(alone)
    assert [Settled.of(together[run.run_id]).forked for run in runs] == [17, 33, 0]


def test_without_the_state_a_branch_starts_from_its_own_start(tmp_path, caplog, every_step):
    runs = runs_of()
    assert done(runs[0], tmp_path / "a", stop=stopped_after(18)) is None
    record = done(runs[0], tmp_path / "a")
    assert record.how["forked"]["step"] == 0
    assert "left no state" in caplog.text
    assert essence(record) == essence(done(dataclasses.replace(runs[0], fork=None), tmp_path / "b"))


def test_a_branch_that_began_at_its_own_start_on_another_device_says_so_after_a_resume_too(tmp_path, every_step):
    runs = runs_of()
    trunk, branch = runs[-1], runs[0]
    done(trunk, tmp_path)
    path = folder_of(trunk, tmp_path).fork(branch.fork.step)
    state = read_checkpoint(path, trunk.run_id)
    state["trainer"]["augmentation"] = torch.zeros(16, dtype=torch.uint8)  # as large as a GPU's
    write_checkpoint(path, trunk.run_id, state)
    assert done(branch, tmp_path, stop=stopped_after(5)) is None
    assert done(branch, tmp_path).how["forked"]["step"] == 0


def test_branches_of_almost_the_same_length_each_have_a_state(tmp_path):
    """The first to end removes what it continued from."""
    made = [planned({"steps": steps}, schedule="wsd") for steps in (30, 31, 60)]
    runs = list(share_trunks({run.run_id: run for run in made}).values())
    done(runs[-1], tmp_path / "a")
    for run in runs[:-1]:
        record = done(run, tmp_path / "a")
        assert record.how["forked"]["step"] >= 24
        assert essence(record) == essence(done(dataclasses.replace(run, fork=None), tmp_path / "b"))
    assert forks(tmp_path / "a") == []


def test_trunk_and_branch_are_stopped_and_go_on(tmp_path, every_step):
    runs = runs_of()
    for run in (runs[-1], runs[1]):
        assert done(run, tmp_path / "a", stop=stopped_after(5)) is None
        again = done(run, tmp_path / "a")
        assert essence(again) == essence(done(dataclasses.replace(run, fork=None, forks=()), tmp_path / "b"))
    assert forks(tmp_path / "a") == ["17"]  # of the run that has not gone on yet
