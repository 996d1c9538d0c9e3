"""Runs on a GPU: arithmetic, memory, data on the host, checkpoints, and what too large a model is told."""

from __future__ import annotations

import gc

import pytest
import torch

from scaling.train.device import free_bytes
from scaling.train.errors import OutOfMemory
from scaling.train.feed import mapped
from scaling.train.run import train_run
from scaling.train.step.prepared import Step
from tests.train.runs import essence, folder_of, planned, stopped_after
from tests.train.test_run import TOO_LITTLE_MEMORY

PIXELS = {"is": "blobs", "size": 320, "pixels": True}


def trained(run, folder, **keys):
    return train_run(run, folder_of(run, folder), device="cuda", **keys)


def test_auto_is_tf32_and_says_so(tmp_path):
    runs = {precision: planned({"steps": 20, "precision": precision}) for precision in ("auto", "fp32")}
    records = {precision: trained(run, tmp_path) for precision, run in runs.items()}
    computed = "tf32" if torch.cuda.get_device_capability() >= (8, 0) else "fp32"
    assert records["auto"].how["precision"] == computed
    assert records["fp32"].how["precision"] == "fp32"


def test_a_run_is_the_same_each_time(tmp_path):
    dropping = {"is": "mlp", "width": 8, "depth": 1, "dropout": 0.1}
    run = planned({"steps": 100}, data=PIXELS, augment="standard", model=dropping)
    assert essence(trained(run, tmp_path / "a")) == essence(trained(run, tmp_path / "b"))


def test_examples_on_the_host_are_the_same_run(tmp_path, monkeypatch):
    run = planned({"steps": 100}, data=PIXELS, augment="standard")
    held = trained(run, tmp_path / "a")
    monkeypatch.setattr(mapped, "HELD_SHARE", 0.0)
    assert essence(trained(run, tmp_path / "b")) == essence(held)


def test_a_stopped_run_goes_on_to_the_same_record(tmp_path, monkeypatch):
    monkeypatch.setattr("scaling.train.loop.TICK_SECONDS", 0.0)
    run = planned({"steps": 200}, data=PIXELS, augment="standard")
    assert trained(run, tmp_path / "a", stop=stopped_after(77)) is None
    assert essence(trained(run, tmp_path / "a")) == essence(trained(run, tmp_path / "b"))


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="wants a second GPU")
@pytest.mark.parametrize("data", ["blobs", "teacher"])
def test_a_run_on_another_gpu_than_the_first_goes_on_to_the_same_record(data, tmp_path, monkeypatch):
    """Its checkpoint and fresh examples are whole: what is copied beside the run is waited for on its own device."""
    monkeypatch.setattr("scaling.train.loop.TICK_SECONDS", 0.0)
    model = {"is": "mlp", "width": 2048, "depth": 2}
    run = planned({"steps": 200, "checkpoint_seconds": 0.0}, data={"is": data}, model=model)
    folder, other = folder_of(run, tmp_path / "a"), folder_of(run, tmp_path / "b")
    assert train_run(run, folder, device="cuda:1", stop=stopped_after(77)) is None
    assert essence(train_run(run, folder, device="cuda:1")) == essence(train_run(run, other, device="cuda:1"))


@pytest.mark.parametrize("graph", ["auto", "off"])
def test_memory_is_flat_after_fifty_runs(graph, tmp_path, gpu):
    taken = []
    for number in range(50):
        run = planned({"steps": 30, "graph": graph}, seed=number, data=PIXELS, augment="standard")
        trained(run, tmp_path)
        gc.collect()
        taken.append(torch.cuda.memory_allocated(gpu))
    assert taken[-1] <= taken[4] + (1 << 20)
    assert free_bytes(gpu) > 0.5 * torch.cuda.get_device_properties(gpu).total_memory


@pytest.fixture
def little_memory(gpu):
    """A tenth of the GPU for this process, so that tests beside it keep theirs."""
    torch.cuda.set_per_process_memory_fraction(0.1, gpu)
    yield
    torch.cuda.set_per_process_memory_fraction(1.0, gpu)


def test_too_large_a_model_is_told_so_and_the_next_run_goes(tmp_path, little_memory):
    data, model = {"is": "blobs", "size": 1 << 18}, {"is": "mlp", "width": 1024, "depth": 16}
    large = planned({"steps": 5, "batch": 1 << 18}, data=data, model=model)
    with pytest.raises(OutOfMemory, match="too little memory"):
        trained(large, tmp_path)
    assert trained(planned({"steps": 20}), tmp_path).status == "finished"


@pytest.mark.parametrize("words", TOO_LITTLE_MEMORY)
def test_too_little_memory_in_a_step_is_told_so_and_the_same_run_goes_afterwards(words, tmp_path, monkeypatch):
    """In the words of CUDA, its libraries and the host: in the warm-up of a capture, and in a step by kernels."""

    def fail(*_):
        raise RuntimeError(words)

    run = planned({"steps": 40})
    with monkeypatch.context() as patch:
        patch.setattr(Step, "_gradients", fail)
        with pytest.raises(OutOfMemory, match="too little memory"):
            trained(run, tmp_path)
    assert trained(run, tmp_path).how["launch"] == "graph"
