"""Prepared arrays are mapped: the workers of a machine read the same memory, and nothing is read twice."""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from scaling.data.base import Arrays
from scaling.data.mapped_rows import mapping_of
from scaling.data.memory import Memory, shared_array
from scaling.dispatch.local.forkserver import fork_server
from scaling.dispatch.local.jobs import Workers
from scaling.dispatch.order import TRAIN
from scaling.train.feed.normalisation import Normalisation
from scaling.train.feed.resident import Resident, bring
from tests.waiting import wait_for

CPU = torch.device("cpu")
WORKERS = 2


@pytest.fixture
def file(tmp_path: Path) -> Path:
    images = np.random.default_rng(0).integers(0, 256, (1_000, 3, 8, 8), dtype=np.uint8)
    np.save(tmp_path / "images.npy", images)
    return tmp_path / "images.npy"


def brought(file: Path) -> Resident:
    x = shared_array(file)
    found = bring(Arrays(x, np.zeros(len(x), dtype=np.int64)), Normalisation(*torch.ones(2, 1, 1, 1)), CPU, reads=0)
    assert isinstance(found, Resident)
    return found


def read_together(file: Path, number: int) -> tuple[str, dict[str, int]]:
    """Return the digest of normalised examples, and kB of the memory that they are in, while others read them, too."""
    held = brought(file)
    x, _ = held.take(torch.arange(len(held)).flip(0))
    read = [file.with_name(f"read-{each}") for each in range(WORKERS)]
    looked = [file.with_name(f"looked-{each}") for each in range(WORKERS)]
    read[number].touch()
    wait_for(lambda: all(each.exists() for each in read))
    memory = memory_at(held.x.data_ptr())
    looked[number].touch()
    wait_for(lambda: all(each.exists() for each in looked))
    return hashlib.sha256(x.numpy().tobytes()).hexdigest(), memory


def memory_at(address: int) -> dict[str, int]:
    """Return what the kernel says of the mapping at an address."""
    lines = Path("/proc/self/smaps").read_text().splitlines()
    for number, line in enumerate(lines):
        first, _, last = line.split()[0].partition("-")
        if last and int(first, 16) <= address < int(last, 16):
            return {
                name: int(kb.split()[0]) for name, _, kb in (each.partition(":") for each in lines[number + 1 :][:15])
            }
    raise LookupError(f"no mapping at {address:x}")


@pytest.mark.slow
@pytest.mark.skipif(not os.access("/proc/self/smaps", os.R_OK), reason="needs /proc/PID/smaps")
def test_workers_read_the_same_memory(file):
    workers = Workers(file.parent / "jobs", fork_server(TRAIN, 1), {})
    found = [job.result() for job in [workers.submit(read_together, file, i) for i in range(WORKERS)]]
    images = (np.load(file)[::-1].astype(np.float32) - 1) / 1
    for digest, memory in found:
        assert digest == hashlib.sha256(images.tobytes()).hexdigest()
        assert memory["Rss"] * 1024 >= images.nbytes // 4
        assert memory["Shared_Clean"] + memory["Shared_Dirty"] == memory["Rss"]


def test_a_mapped_array_takes_none_of_the_memory_for_data(file):
    memory = Memory(1 << 30)
    array = memory.get("images", 0, lambda: shared_array(file))
    assert mapping_of(array) is not None
    assert not array.flags.writeable
    assert memory.used == 0


def test_a_file_that_is_replaced_is_read_on(file):
    held, before = brought(file), np.load(file)
    np.save(file.with_name("other.npy"), 255 - before)
    file.with_name("other.npy").replace(file)
    assert np.array_equal(held.x.numpy(), before)
    assert np.array_equal(brought(file).x.numpy(), 255 - before)


def test_where_files_cannot_be_mapped_they_are_read(file, monkeypatch):
    class Refused(np.memmap):
        def __new__(cls, *_, **__):
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))

    wanted = np.load(file)
    monkeypatch.setattr(np, "memmap", Refused)
    assert mapping_of(shared_array(file)) is None
    assert np.array_equal(brought(file).x.numpy(), wanted)
