"""Killed at any moment and started again, a run ends with the record of one never stopped."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from scaling.data.memory import MEMORY
from scaling.folders import read_lines
from scaling.train.output.checkpoint import read_checkpoint, write_checkpoint
from scaling.train.output.kept_weights import read_kept_weights
from scaling.train.run import train_run
from tests.default_cases import default_cases
from tests.train import nets
from tests.train.killed import kill_at
from tests.train.runs import essence, folder_of, planned, stopped_after
from tests.waiting import Clock

TRAIN = {"checkpoint_seconds": 0.0, "milestones": 25}
DROPOUT = {"is": "bottleneck", "width": 16, "depth": 2, "dropout": 0.2}
BATCH_NORM = {"is": "mlp", "width": 16, "depth": 2, "norm": "batch"}
LION = {"is": "lion", "lr": 1e-3, "weight_decay": 0.1}
AUGMENTED = {"is": "blobs", "size": 600, "pixels": True}
CASES = {
    "dropout": planned({"steps": 300, **TRAIN}, model=DROPOUT, data={"is": "blobs", "size": 1000}),
    "stream": planned({"steps": 300, "clip": 1.0, **TRAIN}, model=BATCH_NORM, optim=LION),
    "augmented": planned(
        {"steps": 300, "micro_batch": 20, "label_smoothing": 0.3, **TRAIN}, data=AUGMENTED, augment="standard"
    ),
}
MOMENTS = {  # places and how often they are come to, one process after the other
    "dropout": (("step", 50), ("checkpoint", 9)),
    "stream": (("point", 12), ("record", 1)),
    "augmented": (("step", 60), ("step", 150)),
}


@pytest.mark.parametrize(
    "case", default_cases(CASES, *(case for case in CASES if case not in ("augmented", "dropout")))
)
def test_a_killed_run_ends_with_the_same_record(case, tmp_path):
    run = CASES[case]
    straight = train_run(run, folder_of(run, tmp_path / "straight"), device="cpu")
    folder = folder_of(run, tmp_path / "killed")
    for place, count in MOMENTS[case]:
        kill_at(place, count, module="tests.train.test_resume", case=case, results=tmp_path / "killed")
        assert not folder.record.exists()
        assert folder.checkpoint.exists()
    resumed = train_run(run, folder, device="cpu")
    assert essence(resumed) == essence(straight)
    assert json.loads(folder.record.read_text())["points"] == resumed.to_dict()["points"]
    assert [line["step"] for line in read_lines(folder.log)] == list(run.quantities.milestones)
    assert not folder.checkpoint.exists()


def test_a_stopped_run_leaves_a_checkpoint_and_goes_on(tmp_path, every_step):
    run = planned({"steps": 250}, data={"is": "blobs", "size": 500})
    straight = train_run(run, folder_of(run, tmp_path / "a"), device="cpu")
    folder = folder_of(run, tmp_path / "b")
    assert train_run(run, folder, device="cpu", stop=stopped_after(100)) is None
    assert folder.checkpoint.exists()
    assert not folder.record.exists()
    assert essence(train_run(run, folder, device="cpu")) == essence(straight)


@pytest.mark.parametrize("name", ["Lazy", "Spectral", "Renamed"])
def test_a_stopped_run_of_a_module_that_loads_in_its_own_way_goes_on(name, tmp_path, every_step):
    run = planned({"steps": 60}, model={"is": "custom", "module": f"tests.train.nets.{name}"})
    straight = train_run(run, folder_of(run, tmp_path / "a"), device="cpu")
    folder = folder_of(run, tmp_path / "b")
    assert train_run(run, folder, device="cpu", stop=stopped_after(20)) is None
    resumed = train_run(run, folder, device="cpu")
    assert not list(folder.path.glob("checkpoint.broken*"))
    assert essence(resumed) == essence(straight)


def test_the_seconds_of_a_run_are_those_of_all_its_attempts(tmp_path, every_step, monkeypatch):
    clock = Clock()
    monkeypatch.setattr("scaling.train.output.journal.monotonic", clock)
    run = planned({"steps": 250})
    folder = folder_of(run, tmp_path)

    def stop():
        clock.now += 1.0
        return clock.now == 100.0

    assert train_run(run, folder, device="cpu", stop=stop) is None
    assert train_run(run, folder, device="cpu").how["seconds"] == 100.0


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[: len(data) // 2],
        pytest.param(lambda data: b"", marks=pytest.mark.slow),
        pytest.param(lambda data: data[:-9] + b"x" * 9, marks=pytest.mark.slow),
    ],
)
def test_a_broken_checkpoint_is_set_aside_and_the_run_starts_afresh(damage, tmp_path, every_step, caplog):
    run = planned({"steps": 250}, data={"is": "blobs", "size": 100})
    first = train_run(run, folder_of(run, tmp_path / "straight"), device="cpu")
    folder = folder_of(run, tmp_path)
    assert train_run(run, folder, device="cpu", stop=stopped_after(100)) is None
    folder.checkpoint.write_bytes(damage(folder.checkpoint.read_bytes()))
    assert essence(train_run(run, folder, device="cpu")) == essence(first)
    assert folder.path.joinpath("checkpoint.broken1").exists()
    assert "set aside" in caplog.text


def test_a_foreign_checkpoint_is_set_aside(tmp_path, every_step, caplog):
    one, other = (planned({"steps": 250}, seed=seed) for seed in (0, 1))
    wanted = train_run(one, folder_of(one, tmp_path / "a"), device="cpu")
    assert train_run(other, folder_of(other, tmp_path / "a"), device="cpu", stop=stopped_after(100)) is None
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
    kept = {step: read_kept_weights(folder, step).model for step in run.quantities.milestones}
    folder.record.unlink()
    assert essence(train_run(run, folder, device="cpu")) == essence(first)
    for step, weights in kept.items():
        assert all(torch.equal(weights[name], value) for name, value in read_kept_weights(folder, step).model.items())
    assert not folder.checkpoint.exists()


@pytest.mark.parametrize("other", ["Deeper", "HalfFrozen"])
def test_a_checkpoint_of_changed_code_is_set_aside_and_the_run_starts_afresh(
    other, tmp_path, every_step, caplog, monkeypatch
):
    run = planned({"steps": 80}, model={"is": "custom", "module": "tests.train.nets.Changing"})
    folder = folder_of(run, tmp_path / "b")
    assert train_run(run, folder, device="cpu", stop=stopped_after(30)) is None
    monkeypatch.setattr(nets, "Changing", getattr(nets, other))
    straight = train_run(run, folder_of(run, tmp_path / "a"), device="cpu")
    assert essence(train_run(run, folder, device="cpu")) == essence(straight)
    assert "its code, data or device, or `scaling` itself, have changed; set aside as checkpoint.broken1" in caplog.text
    assert [line["step"] for line in read_lines(folder.log)] == list(run.quantities.milestones)


def test_a_checkpoint_with_other_parameter_groups_is_set_aside_and_the_run_starts_afresh(tmp_path, every_step, caplog):
    run = planned({"steps": 80}, optim={"is": "adamw", "lr": 0.01, "body_share": 0.5})
    straight = train_run(run, folder_of(run, tmp_path / "a"), device="cpu")
    folder = folder_of(run, tmp_path / "b")
    assert train_run(run, folder, device="cpu", stop=stopped_after(30)) is None
    state = read_checkpoint(folder.checkpoint, run.run_id)
    moments = state["trainer"]["optimizer"]["state"]
    moments[0], moments[1] = moments[1], moments[0]  # as an earlier version, which took another layer for the head
    write_checkpoint(folder.checkpoint, run.run_id, state)
    assert essence(train_run(run, folder, device="cpu")) == essence(straight)
    assert "(its optimiser trains other parameters)" in caplog.text


@pytest.mark.parametrize("engine", ["eager", "stacked"])
def test_a_checkpoint_of_other_data_is_set_aside_and_the_run_starts_afresh(engine, tmp_path, every_step, caplog):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((200, 4)), np.arange(200) % 3
    file = {"is": "npz", "file": "mine.npz", "root": str(tmp_path), "classes": 3, "examples": 160, "features": 4}
    run = planned({"steps": 80, "engine": engine}, data=file)
    np.savez(tmp_path / "mine.npz", x_train=x, y_train=y)
    assert train_run(run, folder_of(run, tmp_path / "b"), device="cpu", stop=stopped_after(30)) is None
    np.savez(tmp_path / "mine.npz", x_train=x, y_train=(y + x[:, 0].astype(int)) % 3)
    MEMORY.clear()  # as in another process
    straight = train_run(run, folder_of(run, tmp_path / "a"), device="cpu")
    assert essence(train_run(run, folder_of(run, tmp_path / "b"), device="cpu")) == essence(straight)
    assert "(it was trained with other data)" in caplog.text


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"augmentation": torch.zeros(16, dtype=torch.uint8)}, "streams are those of another kind of device"),
        ({"precision": "tf32"}, "it was computed in tf32, which here would be fp32"),
    ],
    ids=["the streams of a GPU", "a GPU with other products"],
)
def test_a_checkpoint_of_another_kind_of_device_is_set_aside(changed, why, tmp_path, every_step, caplog):
    run = planned({"steps": 80})
    straight = train_run(run, folder_of(run, tmp_path / "a"), device="cpu")
    folder = folder_of(run, tmp_path / "b")
    assert train_run(run, folder, device="cpu", stop=stopped_after(30)) is None
    state = read_checkpoint(folder.checkpoint, run.run_id)
    state["trainer"] |= changed
    write_checkpoint(folder.checkpoint, run.run_id, state)
    assert essence(train_run(run, folder, device="cpu")) == essence(straight)
    assert why in caplog.text
