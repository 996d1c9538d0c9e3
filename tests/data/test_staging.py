"""Data is copied to node-local disk once, by one of the processes that want it; if that fails it is read in place."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import numpy as np
import pytest

from scaling.data.images import Cifar10
from scaling.data.prepare.staging import staged_copy
from scaling.data.prepare.survey import prepare


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "shared" / "set"
    folder.mkdir(parents=True)
    (folder / "x.bin").write_bytes(b"x" * 100_000)
    return folder


@pytest.mark.slow
def test_processes_of_a_node_copy_once(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL", str(tmp_path / "local"))
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        targets = set(pool.starmap(staged_copy, [(source, "$LOCAL/data")] * 8))
    [target] = targets
    assert target.parent == tmp_path / "local" / "data"
    assert (target / "x.bin").read_bytes() == (source / "x.bin").read_bytes()
    assert [path.name for path in target.parent.iterdir() if not path.name.startswith(".")] == [target.name]


def test_changed_data_is_copied_anew(source: Path, tmp_path: Path) -> None:
    first = staged_copy(source, str(tmp_path / "local"))
    (source / "x.bin").write_bytes(b"y")
    second = staged_copy(source, str(tmp_path / "local"))
    assert first != second
    assert (second / "x.bin").read_bytes() == b"y"


def test_without_a_stage_or_room_for_it_the_source_is_read(source: Path) -> None:
    assert staged_copy(source, None) == source
    assert staged_copy(source, "/proc/nowhere") == source


def test_staged_images_are_the_same(tmp_path: Path) -> None:
    content = np.random.default_rng(0).integers(0, 256, (30, 3_073), dtype=np.uint8)
    content[:, 0] %= 10
    folder = tmp_path / "set" / "cifar-10-batches-bin"
    folder.mkdir(parents=True)
    content[:24].tofile(folder / "data_batch_1.bin")
    content[24:].tofile(folder / "test_batch.bin")
    root = str(tmp_path / "set")
    prepare("cifar10", {"root": root, "examples": 24})
    plain = Cifar10(root=root, examples=24).load(None)
    local = Cifar10(root=root, examples=24, stage=str(tmp_path / "local")).load(None)
    assert np.array_equal(plain.train.x, local.train.x)
    assert list((tmp_path / "local").glob("*/facts.json"))
