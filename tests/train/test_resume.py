"""Killed at any moment and started again, a run ends with the record of one never stopped."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from time import monotonic, sleep

import pytest
import torch

from scaling.folders import read_lines
from scaling.train.output.kept_weights import read_kept_weights
from scaling.train.run import train_run
from tests.train.runs import essence, folder_of, planned

ROOT = Path(__file__).parents[2]
TRAIN = {"checkpoint_seconds": 0.0, "milestones": 25}
DROPOUT = {"is": "bottleneck", "width": 16, "depth": 2, "dropout": 0.2}
CASES = {
    "dropout": (planned({"steps": 1000, **TRAIN}, model=DROPOUT, data={"is": "blobs", "size": 1000}), (2, 15)),
    "stream": (
        planned(
            {"steps": 1600, "clip": 1.0, **TRAIN},
            model={"is": "mlp", "width": 16, "depth": 2, "norm": "batch"},
            optim={"is": "lion", "lr": 1e-3, "weight_decay": 0.1},
        ),
        (9,),
    ),
}
AUGMENTED = {"is": "blobs", "size": 600, "pixels": True}
CASES["augmented"] = (
    planned({"steps": 1500, "micro_batch": 20, "label_smoothing": 0.3, **TRAIN}, data=AUGMENTED, augment="standard"),
    (3, 17),
)
CHILD = """
import sys, torch
torch.set_num_threads(1)
from pathlib import Path
from scaling.train.run import train_run
from tests.train.test_resume import CASES, folder_of
run, _ = CASES[sys.argv[1]]
train_run(run, folder_of(run, Path(sys.argv[2])), device="cpu")
"""


def kill_after(lines, case, results, folder):
    """Start a process that trains, kill it once its log has so many lines, and return how many it had."""
    child = subprocess.Popen([sys.executable, "-c", CHILD, case, str(results)], cwd=ROOT)
    deadline = monotonic() + 60
    while child.poll() is None and monotonic() < deadline and sum(1 for _ in read_lines(folder.log)) < lines:
        sleep(0.002)
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL, "it ended before it could be killed"
    return sum(1 for _ in read_lines(folder.log))


@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=pytest.mark.slow if case == "augmented" else ()) for case in CASES]
)
def test_a_killed_run_ends_with_the_same_record(case, tmp_path):
    run, moments = CASES[case]
    straight = train_run(run, folder_of(run, tmp_path / "straight"), device="cpu")
    folder = folder_of(run, tmp_path / "killed")
    for lines in moments:
        kill_after(lines, case, tmp_path / "killed", folder)
        assert not folder.record.exists()
        assert folder.checkpoint.exists()
    resumed = train_run(run, folder, device="cpu")
    assert essence(resumed) == essence(straight)
    assert json.loads(folder.record.read_text())["points"] == resumed.to_dict()["points"]
    assert [line["step"] for line in read_lines(folder.log)] == list(run.quantities.milestones)
    assert not folder.checkpoint.exists()


def stopped_after(calls):
    """A stop that is asked `calls` times before it says yes."""
    left = iter([False] * calls)
    return lambda: next(left, True)


def test_a_stopped_run_leaves_a_checkpoint_and_goes_on(tmp_path):
    run = planned({"steps": 2500}, data={"is": "blobs", "size": 500})
    straight = train_run(run, folder_of(run, tmp_path / "a"), device="cpu")
    folder = folder_of(run, tmp_path / "b")
    assert train_run(run, folder, device="cpu", stop=stopped_after(2)) is None
    assert folder.checkpoint.exists()
    assert not folder.record.exists()
    heard = []
    resumed = train_run(run, folder, device="cpu", watch=heard.append)
    assert essence(resumed) == essence(straight)
    assert resumed.how["seconds"] > 0.4


@pytest.mark.parametrize(
    "damage", [lambda data: data[: len(data) // 2], lambda data: b"", lambda data: data[:-9] + b"x" * 9]
)
def test_a_broken_checkpoint_is_set_aside_and_the_run_starts_afresh(damage, tmp_path, caplog):
    run = planned({"steps": 2500}, data={"is": "blobs", "size": 100})
    first = train_run(run, folder_of(run, tmp_path / "straight"), device="cpu")
    folder = folder_of(run, tmp_path)
    assert train_run(run, folder, device="cpu", stop=stopped_after(1)) is None
    folder.checkpoint.write_bytes(damage(folder.checkpoint.read_bytes()))
    assert essence(train_run(run, folder, device="cpu")) == essence(first)
    assert folder.path.joinpath("checkpoint.broken1").exists()
    assert "set aside" in caplog.text


def test_a_foreign_checkpoint_is_set_aside(tmp_path, caplog):
    one, other = (planned({"steps": 2500}, seed=seed) for seed in (0, 1))
    wanted = train_run(one, folder_of(one, tmp_path / "a"), device="cpu")
    assert train_run(other, folder_of(other, tmp_path / "a"), device="cpu", stop=stopped_after(1)) is None
    folder = folder_of(one, tmp_path / "b")
    folder.path.mkdir(parents=True)
    folder_of(other, tmp_path / "a").checkpoint.rename(folder.checkpoint)
    assert essence(train_run(one, folder, device="cpu")) == essence(wanted)
    assert f"belongs to run {other.run_id}" in caplog.text


def test_a_checkpoint_runs_no_code_of_others(tmp_path):
    run = planned({"steps": 20})
    folder = folder_of(run, tmp_path)
    folder.path.mkdir(parents=True)
    trap = tmp_path / "sprung"

    class Trap:
        def __reduce__(self):
            return (Path.touch, (trap,))

    torch.save({"run_id": run.run_id, "state": Trap()}, tmp_path / "body")
    from scaling.train.output.checkpoint import MAGIC, hashlib

    body = (tmp_path / "body").read_bytes()
    folder.checkpoint.write_bytes(MAGIC + hashlib.sha256(body).digest() + body)
    assert train_run(run, folder, device="cpu").status == "finished"
    assert not trap.exists()


def test_a_run_killed_before_its_record_keeps_the_same_weights(tmp_path):
    run = planned({"steps": 40, "keep": "milestones", "milestones": 3}, data={"is": "blobs", "size": 100})
    folder = folder_of(run, tmp_path)
    first = train_run(run, folder, device="cpu")
    kept = {step: read_kept_weights(folder, step) for step in run.quantities.milestones}
    folder.record.unlink()
    assert essence(train_run(run, folder, device="cpu")) == essence(first)
    for step, weights in kept.items():
        assert all(torch.equal(weights[name], value) for name, value in read_kept_weights(folder, step).items())
    assert not folder.checkpoint.exists()
