"""Rows of a mapped file: the disk reads what is wanted and hardly more, in a file that is not in memory."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from scaling.data.base import Arrays, Picked
from scaling.data.mapped_rows import RowFile
from scaling.errors import UserError
from scaling.train.feed.feed import Epochs, batches
from scaling.train.feed.mapped import GATHERERS, Mapped
from scaling.train.feed.resident import bring

ROWS, SHAPE = 3_000, (3, 64, 64)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("images") / "images.npy"
    every = np.random.default_rng(0).integers(0, 256, 1 << 16, dtype=np.uint8)
    np.save(path, np.resize(every, (ROWS, *SHAPE)))
    return path


@pytest.fixture
def images(file, monkeypatch):
    """Images in a file that is mapped, behind a header; `cold` puts it out of the system's memory."""
    monkeypatch.setattr("scaling.data.memory.MAPPED_BYTES", 0)
    return file


def cold(path: Path) -> np.ndarray:
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return np.load(path, mmap_mode="r")


def bytes_in_memory(whole: np.ndarray) -> int:
    """Bytes of a mapped array's file that the system's memory holds, by pages."""
    page, data = os.sysconf("SC_PAGE_SIZE"), whole.ctypes.data
    start = data - data % page
    length = data + whole.nbytes - start
    pages = (ctypes.c_ubyte * -(-length // page))()
    assert ctypes.CDLL(None).mincore(ctypes.c_void_p(start), ctypes.c_size_t(length), pages) == 0
    return page * sum(each & 1 for each in pages)


def test_a_row_is_found_where_its_bytes_are(images):
    mapped = np.load(images, mmap_mode="r")
    for array in (mapped, mapped[100:], mapped[1000:3000]):
        file = RowFile.of(array)
        with images.open("rb") as raw:
            raw.seek(file.start + 7 * file.row_bytes)
            assert raw.read(file.row_bytes) == array[7].tobytes()
    assert RowFile.of(np.array(mapped[:2])) is None
    assert RowFile.of(mapped[::2]) is None


def test_the_disk_reads_what_is_wanted(images):
    whole = cold(images)
    if bytes_in_memory(whole) > whole.nbytes // 2:
        pytest.skip("files here are always in memory")
    held = bring(Arrays(whole, np.arange(ROWS)), None, CPU, reads=0)
    assert isinstance(held, Mapped)
    index = torch.from_numpy(np.random.default_rng(1).permutation(ROWS)[:128])
    before = bytes_in_memory(whole)
    x, y = held.take(index)
    assert bytes_in_memory(whole) - before < 2 * x.nbytes
    assert torch.equal(y, index)
    assert np.array_equal(x.numpy(), whole[index.numpy()])
    assert held.file.fetch(np.sort(index.numpy())) is False, "they are in memory now"


def test_picked_rows_are_read_without_their_surroundings(images):
    whole = cold(images)
    before = bytes_in_memory(whole)
    if before > whole.nbytes // 2:
        pytest.skip("files here are always in memory")
    rows = np.random.default_rng(2).permutation(ROWS)[:64]
    part = Picked(whole, rows, rows).part(0, 32)
    places = Arrays(whole, np.arange(ROWS)).picked(rows[32:])
    assert bytes_in_memory(whole) - before < 2 * (part.x.nbytes + places.x.nbytes)
    assert np.array_equal(np.concatenate([part.x, places.x]), whole[rows])


def test_rows_are_fetched_though_the_first_came_into_memory_when_the_file_was_opened(images):
    whole = cold(images)
    file, before = RowFile.of(whole), bytes_in_memory(whole)
    if before > whole.nbytes // 2:
        pytest.skip("files here are always in memory")
    assert whole[0].any()
    assert file.fetch(np.array([0, 1500, 2500])) is True


def test_rows_are_the_same_from_disk_and_from_memory(images):
    held = bring(Arrays(cold(images), np.arange(ROWS)), None, CPU, reads=0)
    index = torch.tensor([ROWS - 1, 5, 0, ROWS - 1, 1234])  # the last row ends within a page
    first, again = held.take(index)[0], held.take(index)[0]
    assert torch.equal(first, again)
    assert np.array_equal(
        first.numpy(), np.fromfile(images, dtype=np.uint8)[-ROWS * 12_288 :].reshape(-1, *SHAPE)[index]
    )


def test_a_removed_file_is_read_on_and_a_cut_one_is_refused(images, tmp_path):
    file = tmp_path / "images.npy"
    np.save(file, np.load(images, mmap_mode="r")[:200])
    feed = Epochs(bring(Arrays(cold(file), np.arange(200)), None, CPU, reads=0), seed=0)
    cut = batches(feed, batch=50, features=int(np.prod(SHAPE)), device=CPU)
    with file.open("r+b") as opened:
        file.unlink()
        x, y = next(iter(cut.between(0, 1)))
        assert np.array_equal(x.numpy(), np.load(images, mmap_mode="r")[y])
        opened.truncate(1_000_000)
        with pytest.raises(UserError, match=r"found .*images.npy with 1,000,000 bytes; wanted at least the 2,457,728"):
            list(cut.between(1, 4))


def test_looking_whether_rows_are_in_memory_reads_none(images):
    whole = cold(images)
    before = bytes_in_memory(whole)
    if before > whole.nbytes // 2:
        pytest.skip("files here are always in memory")
    file = RowFile.of(whole)
    assert not any(file._are_in_memory(np.array([row])) for row in range(100, ROWS, 100))
    assert bytes_in_memory(whole) == before


def test_several_threads_gather_in_order(images, monkeypatch):
    monkeypatch.setitem(GATHERERS, "cpu", 4)
    monkeypatch.setattr("scaling.train.feed.mapped.cores", lambda: 4)
    whole = np.load(images, mmap_mode="r")
    feed = Epochs(bring(Arrays(whole, np.arange(ROWS)), None, CPU, reads=0), seed=0)
    cut = batches(feed, batch=64, features=int(np.prod(SHAPE)), device=CPU)
    for step, (x, y) in enumerate(cut.between(0, 20)):
        assert torch.equal(y, feed.index(step * 64, step * 64 + 64))
        assert np.array_equal(x[:, :, 0, 0].numpy(), whole[y.numpy()][:, :, 0, 0])
