"""Training examples that the device does not hold: the same runs, bit for bit."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch

from scaling.data.base import Arrays, Picked
from scaling.train.device import free_bytes
from scaling.train.feed.feed import Epochs, batches
from scaling.train.feed.mapped import Mapped, stays_on_host
from scaling.train.feed.normalisation import Normalisation
from scaling.train.feed.resident import Resident, bring
from scaling.train.run import train_run
from tests.train.runs import essence, folder_of, planned, stopped_after

CPU = torch.device("cpu")


@pytest.fixture
def large(monkeypatch):
    """Every file is too large to be read whole."""
    monkeypatch.setattr("scaling.data.memory.MAPPED_BYTES", 0)


@pytest.fixture
def arrays(tmp_path):
    rng = np.random.default_rng(0)
    np.save(tmp_path / "images.npy", rng.integers(0, 256, (300, 3, 4, 4), dtype=np.uint8))
    return Arrays(np.load(tmp_path / "images.npy", mmap_mode="r"), rng.integers(0, 10, 300))


def scale():
    return Normalisation(torch.tensor([1.0, 2.0, 3.0]).reshape(3, 1, 1), torch.tensor([5.0, 6.0, 7.0]).reshape(3, 1, 1))


def test_what_is_small_is_read_and_what_is_large_stays_in_its_file(arrays, monkeypatch):
    held = bring(arrays, scale(), CPU, reads=0)
    assert isinstance(held, Resident)
    assert not np.shares_memory(held.x.numpy(), arrays.x)
    monkeypatch.setattr("scaling.data.memory.MAPPED_BYTES", 0)
    mapped = bring(arrays, scale(), CPU, reads=1000)
    assert isinstance(mapped, Mapped)
    assert np.shares_memory(mapped.x.numpy(), arrays.x)
    index = torch.tensor([7, 3, 299, 3, 0])
    for ours, wanted in zip(mapped.take(index), held.take(index), strict=True):
        assert torch.equal(ours, wanted)
    for ours, wanted in zip(mapped.between(290, 310), held.between(290, 310), strict=True):
        assert torch.equal(ours, wanted)


def test_what_torch_keeps_of_earlier_runs_can_be_had(arrays, monkeypatch):
    """A set stays on the host by what a GPU could hold, whatever was trained on it before."""
    gpu, size = torch.device("cuda", 0), arrays.x.nbytes
    state = {"mem_get_info": (size // 4, 80 << 30), "memory_reserved": 9 * size, "memory_allocated": size}
    for name, value in state.items():
        monkeypatch.setattr(torch.cuda, name, lambda device, value=value: value)
    assert free_bytes(gpu) == size // 4 + 8 * size
    assert not stays_on_host(arrays, gpu)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 8 * size)
    assert stays_on_host(arrays, gpu)


@pytest.mark.parametrize("part_bytes", [1 << 24, 1_000])  # a batch at once, and in parts of some examples
def test_batches_come_in_the_same_order_and_are_gathered_elsewhere(part_bytes, arrays, large, monkeypatch):
    monkeypatch.setattr("scaling.train.feed.mapped.PART_BYTES", part_bytes)
    held = Epochs(Resident(torch.from_numpy(np.array(arrays.x)), torch.from_numpy(arrays.y), scale()), seed=3)
    mapped = Epochs(bring(arrays, scale(), CPU, reads=0), seed=3)
    assert isinstance(mapped.subset, Mapped)
    drawn, threads, index, gather = set(), set(), mapped.index, Mapped._fill

    def gathered(examples, rows, out):
        threads.add(threading.current_thread().name)
        assert out.nbytes <= part_bytes
        gather(examples, rows, out)

    monkeypatch.setattr(Mapped, "_fill", gathered)
    mapped.index = lambda *span: drawn.add(threading.current_thread().name) or index(*span)
    cut = [batches(feed, batch=64, features=48, device=CPU) for feed in (mapped, held)]
    pairs = list(zip(cut[0].between(2, 19), cut[1].between(2, 19), strict=True))
    assert len(pairs) == 17
    for (x, y), (wanted, label) in pairs:
        assert torch.equal(x, wanted)
        assert torch.equal(y, label)
    assert {name.partition("_")[0] for name in threads} == {"gather"}
    assert drawn == {threading.current_thread().name}  # the order is that of one thread


def test_picked_examples_are_those_of_a_copy(arrays, monkeypatch):
    rows = np.random.default_rng(1).permutation(300)[:200]
    copy = bring(Arrays(np.array(arrays.x[rows]), arrays.y[rows]), scale(), CPU, reads=0)
    picked = Picked(arrays.x, rows, arrays.y[rows])
    mapped = bring(picked, scale(), CPU, reads=0)
    assert isinstance(mapped, Mapped)
    assert np.shares_memory(mapped.x.numpy(), arrays.x)
    monkeypatch.setattr("scaling.train.feed.resident.stays_on_host", lambda *_: False)  # a GPU that has the room
    monkeypatch.setattr("scaling.train.feed.resident.COPIED_ROWS", 64)
    resident = bring(picked, scale(), CPU, reads=0)
    assert isinstance(resident, Resident)
    index = torch.tensor([7, 3, 199, 3, 0])
    for held in (mapped, resident):
        assert len(held) == 200
        pairs = [*zip(held.take(index), copy.take(index), strict=True)]
        pairs += zip(held.between(190, 210), copy.between(190, 210), strict=True)
        assert all(torch.equal(ours, wanted) for ours, wanted in pairs)


@pytest.mark.parametrize("augment", ["none", "standard"])
def test_a_run_on_a_mapped_file_is_the_run_in_memory(augment, tmp_path, large):
    keys = {"is": "blobs", "size": 320, "pixels": True}
    train = {"steps": 120, "milestones": 4}
    memory, file = (
        planned(train, data={**keys, **more}, augment=augment) for more in ({}, {"file": str(tmp_path / "x.npy")})
    )
    assert file.run_id == memory.run_id
    wanted = train_run(memory, folder_of(memory, tmp_path / "a"), device="cpu")
    found = train_run(file, folder_of(file, tmp_path / "b"), device="cpu")
    assert found.points == wanted.points


def test_a_stopped_run_goes_on_and_its_thread_ends(tmp_path, large, every_step):
    run = planned({"steps": 250}, data={"is": "blobs", "size": 320, "pixels": True, "file": str(tmp_path / "x.npy")})
    folder = folder_of(run, tmp_path / "b")
    assert train_run(run, folder, device="cpu", stop=stopped_after(100)) is None
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("gather")]
    resumed = train_run(run, folder, device="cpu")
    straight = train_run(run, folder_of(run, tmp_path / "a"), device="cpu")
    assert essence(resumed) == essence(straight)


def test_an_error_in_the_thread_reaches_the_loop(arrays, large, monkeypatch):
    feed = Epochs(bring(arrays, scale(), CPU, reads=0), seed=3)
    monkeypatch.setattr(Mapped, "_fill", lambda examples, rows, out: [][0])
    with pytest.raises(IndexError):
        list(batches(feed, batch=64, features=48, device=CPU).between(0, 3))
