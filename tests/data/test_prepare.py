"""Small local files in the formats of the large sets, prepared and loaded for real."""

from __future__ import annotations

import errno
import io
import itertools
import json
import multiprocessing
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet

from scaling.commands.data import data as data_command
from scaling.data.base import Arrays, Picked
from scaling.data.images import Cifar10, Cifar100, ImageNet1k, Stl10, TinyImageNet
from scaling.data.memory import MEMORY
from scaling.data.prepare.file_lock import locked
from scaling.data.prepare.pictures import decoded
from scaling.data.prepare.survey import prepare, read_set, survey
from scaling.dispatch.local.jobs import process_of
from scaling.errors import UserError
from tests.default_cases import default_cases
from tests.forked import forked

SEEDS = itertools.count()  # one for each table, so that no picture is in two splits


def picture(rng: np.random.Generator, label: int, *, size: tuple[int, int] = (20, 12)) -> Image.Image:
    """Return noise around a grey that tells the label."""
    grey = np.full((*size, 3), 60 + 60 * label) + rng.integers(-20, 20, (*size, 3))
    return Image.fromarray(grey.astype(np.uint8))


def image_folder(root: Path, counts: dict[str, list[int]]) -> None:
    rng = np.random.default_rng(0)
    for split, numbers in counts.items():
        for label, number in enumerate(numbers):
            folder = root / split / f"class{label}"
            folder.mkdir(parents=True)
            for i in range(number):
                picture(rng, label).save(folder / f"{i}.png")


def table(labels: list[int], *, image: str = "image", label: str = "label", paths: list[str] | None = None) -> pa.Table:
    rng = np.random.default_rng(next(SEEDS))
    rows = []
    for i, number in enumerate(labels):
        buffer = io.BytesIO()
        picture(rng, max(number, 0)).save(buffer, "PNG")
        rows.append({image: {"bytes": buffer.getvalue(), "path": paths[i] if paths else None}, label: number})
    return pa.Table.from_pylist(rows)


def parquet_file(path: Path, labels: list[int], **names: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(table(labels, **names), path)


def saved(folder: Path, pieces: list[list[int]]) -> None:
    """Write a split as `datasets.save_to_disk` does: streams of Arrow, and a file that says their order."""
    folder.mkdir(parents=True)
    files = [f"data-{i:05}-of-{len(pieces):05}.arrow" for i in range(len(pieces))]
    for name, labels in zip(files, pieces, strict=True):
        found = table(labels)
        with (folder / name).open("wb") as file, pa.ipc.new_stream(file, found.schema) as stream:
            stream.write_table(found)
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": name} for name in files]}))


def greys(arrays: Arrays) -> np.ndarray:
    """Read the label off the pictures themselves."""
    return np.rint((arrays.x.mean(axis=(1, 2, 3)) - 60) / 60).astype(int)


def test_an_image_folder(tmp_path: Path) -> None:
    image_folder(tmp_path, {"train": [30, 6, 3], "val": [4, 4, 4]})
    settings = {"root": str(tmp_path), "image_size": 8, "examples": 39, "classes": 3}
    told: list[tuple[str, int, int]] = []
    ready = prepare("imagenet1k", settings, watch=lambda *news: told.append(news))
    assert (ready.n_train, ready.n_validation, ready.n_test, ready.notes) == (39, 6, 6, ())
    assert told == [("train", 39, 39), ("validation", 12, 12)]
    splits = ImageNet1k(root=str(tmp_path), image_size=8, examples=39, classes=3).load(None)
    for part in (splits.train, splits.validation, splits.test):
        assert isinstance(part, Arrays)
        assert part.x.shape[1:] == (3, 8, 8)
        assert np.array_equal(greys(part), part.y)
    assert not list(tmp_path.glob(".*"))


def test_images_behind_linked_folders_are_read(tmp_path: Path) -> None:
    image_folder(tmp_path, {"train": [4, 4], "test": [4, 4]})
    for split in ("train", "test"):
        inside = tmp_path / split / "class1"
        inside.rename(tmp_path / f"more-{split}")
        inside.mkdir()
        (inside / "linked").symlink_to(tmp_path / f"more-{split}")
        (inside / "itself").symlink_to(inside)
    ready = prepare("stl10", {"root": str(tmp_path), "image_size": 8, "classes": 2, "examples": 8})
    assert (ready.n_train, ready.n_validation, ready.n_test) == (8, 4, 4)


def test_a_photograph_is_read_as_it_is_stored(tmp_path: Path) -> None:
    """Its rotation, in the EXIF data, is not applied, as in torchvision."""
    image = Image.fromarray(np.repeat(np.linspace(0, 255, 16).astype(np.uint8)[:, None], 16, axis=1))
    rotated = image.getexif()
    rotated[0x0112] = 6
    image.save(tmp_path / "rotated.png", exif=rotated)
    assert np.array_equal(decoded(tmp_path / "rotated.png", size=16, channels=1)[0], np.asarray(image))


def test_a_class_without_test_examples_is_told(tmp_path: Path) -> None:
    image_folder(tmp_path, {"train": [5, 6, 3], "val": [4, 4, 4], "test": [4, 0, 4]})
    ready = prepare("imagenet1k", {"root": str(tmp_path), "image_size": 8, "examples": 14, "classes": 3})
    [note] = ready.notes
    assert note.startswith("1 of 3 classes have no test example, the first of label 1: ")


def test_subsets_of_prepared_images_are_the_front_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image_folder(tmp_path, {"train": [30, 6, 3], "test": [2, 2, 2]})
    settings = {"root": str(tmp_path), "image_size": 8, "examples": 39, "classes": 3}
    prepare("imagenet1k", settings)
    monkeypatch.setattr("scaling.data.memory.MAPPED_BYTES", 0)
    MEMORY.clear()
    data = ImageNet1k(root=str(tmp_path), image_size=8, examples=39, classes=3, seed=0)
    train = data.load(13).train
    assert isinstance(train, Arrays)
    assert isinstance(train.x, np.memmap)
    assert np.bincount(train.y).tolist() == [10, 2, 1]
    other = read_set("imagenet1k", {**settings, "seed": 1}).load(13).train
    assert isinstance(other, Picked)  # which copies nothing
    assert isinstance(other.file, np.memmap)
    assert np.bincount(other.y).tolist() == [10, 2, 1]
    assert np.array_equal(greys(other.part(0, 13)), other.y)
    monkeypatch.setattr("scaling.data.memory.MAPPED_BYTES", 1 << 30)
    MEMORY.clear()
    copied = read_set("imagenet1k", {**settings, "seed": 1}).load(13).train
    assert isinstance(copied, Arrays)
    assert np.array_equal(copied.x, other.part(0, 13).x)


def test_parquet_files_in_pieces_with_hidden_test_labels(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 50).tolist()
    parquet_file(tmp_path / "train-00000-of-00002.parquet", labels[:20])
    parquet_file(tmp_path / "train-00001-of-00002.parquet", labels[20:])
    parquet_file(tmp_path / "validation-00000-of-00001.parquet", [0, 1, 2] * 4)
    parquet_file(tmp_path / "test-00000-of-00001.parquet", [-1] * 5)
    ready = prepare("imagenet1k", {"root": str(tmp_path), "image_size": 6, "examples": 50, "classes": 3})
    assert (ready.n_train, ready.n_validation, ready.n_test) == (50, 6, 6)
    train = ImageNet1k(root=str(tmp_path), image_size=6, examples=50, classes=3).load(None).train
    assert isinstance(train, Arrays)
    assert np.array_equal(greys(train), train.y)
    assert np.bincount(train.y).tolist() == np.bincount(labels).tolist()


def test_cifar100_as_the_hub_lays_it_out(tmp_path: Path) -> None:
    for split, labels in (("train", [2, 0, 1, 1]), ("test", [0, 1, 2, 2])):
        path = tmp_path / "cifar100" / f"{split}-00000-of-00001.parquet"
        coarse = pa.array([label // 2 for label in labels])
        path.parent.mkdir(exist_ok=True)
        columns = table(labels, image="img", label="fine_label")
        parquet.write_table(columns.append_column("coarse_label", coarse), path)
    ready = prepare("cifar100", {"root": str(tmp_path), "examples": 4, "image_size": 8})
    assert (ready.n_train, ready.n_validation, ready.n_test) == (4, 2, 2)
    splits = Cifar100(root=str(tmp_path), examples=4, image_size=8).load(None)
    assert isinstance(splits.train, Arrays)
    assert sorted(splits.train.y) == [0, 1, 1, 2]
    assert np.array_equal(greys(splits.train), splits.train.y)
    assert splits.published is None


def test_what_datasets_has_saved(tmp_path: Path) -> None:
    saved(tmp_path / "mine" / "train", [[2, 0, 1], [1, 1]])
    saved(tmp_path / "mine" / "validation", [[0, 1, 2]])
    saved(tmp_path / "mine" / "test", [[2, 2, 1]])
    settings = {"root": str(tmp_path), "folder": "mine", "classes": 3, "examples": 5, "image_size": 8}
    ready = prepare("image_folder", settings)
    assert (ready.n_train, ready.n_validation, ready.n_test) == (5, 3, 3)
    splits = read_set("image_folder", settings).load(None)
    for part, labels in ((splits.validation, [0, 1, 2]), (splits.test, [2, 2, 1])):
        assert part.y.tolist() == greys(part).tolist() == labels


@pytest.mark.slow
def test_a_set_of_the_hub(tmp_path: Path) -> None:
    for split in ("train", "test"):
        parquet_file(tmp_path / "set" / f"{split}.parquet", [0, 1, 2, 1], image="img")
    settings = {"dataset": str(tmp_path / "set"), "classes": 3, "examples": 4, "image_size": 8}
    ready = prepare("huggingface", {**settings, "root": str(tmp_path / "here")})
    assert (ready.n_train, ready.n_validation, ready.n_test) == (4, 2, 2)


def test_test_images_know_their_place_among_the_published_ones(tmp_path: Path) -> None:
    """ImageNet's validation images are numbered across classes; half of them test."""
    image_folder(tmp_path / "folders", {"train": [4, 4, 4]})
    rng, labels = np.random.default_rng(0), [2, 0, 1, 1, 0, 2, 0, 2, 1, 0]
    names = [f"ILSVRC2012_val_{i + 1:08}.JPEG" for i in range(10)]
    for label, name in zip(labels, names, strict=True):
        folder = tmp_path / "folders" / "val" / f"class{label}"
        folder.mkdir(parents=True, exist_ok=True)
        picture(rng, label).save(folder / name)
    parquet_file(tmp_path / "tables" / "train.parquet", [0, 1, 2] * 4)
    shuffled = [3, 9, 0, 1, 8, 2, 7, 4, 6, 5]
    kept = {"paths": [names[i] for i in shuffled]}
    parquet_file(tmp_path / "tables" / "validation.parquet", [labels[i] for i in shuffled], **kept)
    for where in ("folders", "tables"):
        settings = {"root": str(tmp_path / where), "image_size": 8, "classes": 3, "examples": 12}
        prepare("imagenet1k", settings)
        splits = read_set("imagenet1k", settings).load(None)
        assert splits.published is not None
        assert splits.published.total == 10
        assert [labels[place] for place in splits.published.places] == splits.test.y.tolist()
        assert len(set(splits.published.places.tolist())) == len(splits.test) == 5


def test_the_binary_version_of_cifar10(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    content = rng.integers(0, 256, (30, 3_073), dtype=np.uint8)
    content[:, 0] %= 10
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    content[:20].tofile(folder / "data_batch_1.bin")
    content[20:26].tofile(folder / "data_batch_2.bin")
    content[26:].tofile(folder / "test_batch.bin")
    prepare("cifar10", {"root": str(tmp_path), "examples": 26})
    splits = Cifar10(root=str(tmp_path), examples=26).load(None)
    assert isinstance(splits.train, Arrays)
    found = {(int(y), x.tobytes()) for x, y in zip(splits.train.x, splits.train.y, strict=True)}
    assert found == {(int(row[0]), row[1:].tobytes()) for row in content[:26]}
    assert (len(splits.validation), len(splits.test)) == (2, 2)


def test_the_binary_version_of_stl10(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for split, n in (("train", 6), ("test", 4)):
        rng.integers(0, 256, (n, 3, 96, 96), dtype=np.uint8).tofile(tmp_path / f"{split}_X.bin")
        (1 + np.arange(n, dtype=np.uint8) % 10).tofile(tmp_path / f"{split}_y.bin")
    prepare("stl10", {"root": str(tmp_path), "examples": 6})
    train = Stl10(root=str(tmp_path), examples=6).load(None).train
    assert isinstance(train, Arrays)
    first = np.fromfile(tmp_path / "train_X.bin", dtype=np.uint8).reshape(6, 3, 96, 96)[train.y[0]]
    assert np.array_equal(train.x[0], first.transpose(0, 2, 1))


def test_tiny_imagenet_as_it_is_distributed(tmp_path: Path) -> None:
    unpacked = tmp_path / "tiny-imagenet-200"
    image_folder(unpacked, {"train": [5, 4, 3]})
    rng = np.random.default_rng(0)
    for split in ("val", "test"):
        (unpacked / split / "images").mkdir(parents=True)
        for i in range(6):
            picture(rng, i % 3).save(unpacked / split / "images" / f"{split}_{i}.png")
    lines = [f"val_{i}.png\tclass{i % 3}\t0\t0\t9\t9\n" for i in range(6)]
    (unpacked / "val" / "val_annotations.txt").write_text("".join(lines))
    ready = prepare("tinyimagenet", {"root": str(tmp_path), "image_size": 8, "classes": 3, "examples": 12})
    assert (ready.n_train, ready.n_validation, ready.n_test) == (12, 3, 3)
    test = TinyImageNet(root=str(tmp_path), image_size=8, classes=3, examples=12).load(None).test
    assert np.array_equal(greys(test), test.y)


def test_imagenet21k_as_its_cleaned_version_is_distributed(tmp_path: Path) -> None:
    image_folder(tmp_path, {"imagenet21k_train": [3, 2], "imagenet21k_val": [2, 2], "imagenet21k_small_classes": [1]})
    ready = prepare("imagenet21k", {"root": str(tmp_path), "image_size": 8, "classes": 2, "examples": 5})
    assert (ready.n_train, ready.n_validation, ready.n_test) == (5, 2, 2)


def pets(root: Path) -> dict[str, Any]:
    """Make a small image folder; return the settings that prepare it."""
    image_folder(root, {"train": [30, 6, 3], "val": [4, 4, 4]})
    return {"root": str(root), "image_size": 8, "examples": 39, "classes": 3}


def contents(folder: Path) -> dict[str, bytes]:
    """Return the files of prepared images, whose originals may be newer or older."""
    found = {path.name: path.read_bytes() for path in folder.iterdir()}
    facts = json.loads(found.pop("facts.json"))
    return {**found, "facts": json.dumps({**facts, "originals": None}).encode()}


class TestChangedOriginals:
    def test_images_that_were_added_are_prepared(self, tmp_path: Path) -> None:
        settings = pets(tmp_path)
        prepare("imagenet1k", settings)
        for i in range(2):
            picture(np.random.default_rng(i), 2).save(tmp_path / "train" / "class2" / f"more{i}.png")
        with pytest.raises(UserError, match=r"found 41 training images .* data\.examples=41"):
            prepare("imagenet1k", settings)
        assert prepare("imagenet1k", {**settings, "examples": 41}).n_train == 41

    def test_an_image_that_was_replaced_is_prepared_again(self, tmp_path: Path) -> None:
        settings, file = pets(tmp_path), tmp_path / "train" / "class0" / "0.png"
        prepare("imagenet1k", settings)
        before = contents(tmp_path / "prepared-8px-3ch")
        Image.new("RGB", (9, 9), "white").save(file)
        prepare("imagenet1k", settings)
        train = read_set("imagenet1k", settings).load(None).train
        assert isinstance(train, Arrays)
        assert (train.x == 255).all(axis=(1, 2, 3)).sum() == 1
        assert contents(tmp_path / "prepared-8px-3ch") != before
        assert not list(tmp_path.glob(".*"))

    def test_nothing_is_done_again_unless_it_is_told_to(self, tmp_path: Path) -> None:
        settings, told = pets(tmp_path), list[tuple[str, int, int]]()
        prepare("imagenet1k", settings)
        prepare("imagenet1k", settings, watch=lambda *news: told.append(news))
        assert not told
        prepare("imagenet1k", settings, watch=lambda *news: told.append(news), force=True)
        assert told == [("train", 39, 39), ("validation", 12, 12)]

    def test_originals_may_be_removed(self, tmp_path: Path) -> None:
        settings = pets(tmp_path)
        prepare("imagenet1k", settings)
        for split in ("train", "val"):
            shutil.rmtree(tmp_path / split)
        assert prepare("imagenet1k", settings).n_train == 39

    def test_those_of_the_version_before_stay(self, tmp_path: Path) -> None:
        settings, told = pets(tmp_path), list[tuple[str, int, int]]()
        prepare("imagenet1k", settings)
        facts = tmp_path / "prepared-8px-3ch" / "facts.json"
        known = {key: value for key, value in json.loads(facts.read_text()).items() if key != "originals"}
        facts.write_text(json.dumps(known))
        assert prepare("imagenet1k", settings, watch=lambda *news: told.append(news)).n_train == 39
        assert not told

    def test_what_is_hidden_is_no_class_and_no_image(self, tmp_path: Path) -> None:
        settings = pets(tmp_path)
        for folder in ("train/.ipynb_checkpoints", "train/class0/.ipynb_checkpoints", "val/__MACOSX", ".trash_train/x"):
            (tmp_path / folder).mkdir(parents=True)
            picture(np.random.default_rng(0), 1).save(tmp_path / folder / "x.png")
        (tmp_path / "train" / "class1" / "._5.png").write_bytes(b"of another system")
        ready = prepare("imagenet1k", settings)
        assert (ready.n_train, ready.n_validation, ready.classes) == (39, 6, 3)


def test_each_tenth_of_a_split_is_told_once(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("scaling.data.prepare.pictures.AT_A_TIME", 2)
    keys = [f"data.{key}={value}" for key, value in pets(tmp_path).items()]
    with pytest.raises(SystemExit, match="0"):
        data_command(["prepare", "imagenet1k", *keys])
    told = [line.split()[:2] for line in capsys.readouterr().err.splitlines()]
    trained = [int(done) for split, done in told if split == "train:"]
    assert trained == [4, 8, 12, 16, 20, 24, 28, 32, 36, 39]
    assert told[-1] == ["validation:", "12"]


def prepare_until(settings: dict[str, Any], count: int) -> None:
    """Prepare with notes at every block of five pictures, in a process that is killed at its `count`-th block."""
    from scaling.data.prepare import pictures, write

    write.NOTED_SECONDS, pictures.AT_A_TIME = 0.0, 5
    left = count

    def struck(split: str, done: int, total: int) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    prepare("imagenet1k", settings, watch=struck)


class TestKilled:
    @pytest.mark.parametrize("count", default_cases([1, 5, 8, 9, 10], 5, 9))
    def test_the_next_one_goes_on(self, count: int, tmp_path: Path) -> None:
        """Of eight blocks of training images and three of validation."""
        settings = pets(tmp_path / "killed")
        prepare("imagenet1k", pets(tmp_path / "straight"))
        job = forked(tmp_path / "jobs", prepare_until, settings, count)
        assert process_of(job).poll() == -signal.SIGKILL
        assert not read_set("imagenet1k", settings).source().ready
        told: list[tuple[str, int, int]] = []
        prepare("imagenet1k", settings, watch=lambda *news: told.append(news))
        assert told[0] == ("train", min(5 * count, 39), 39)
        assert sum(split == "train" for split, *_ in told) == (1 if count >= 8 else 2)
        folders = [tmp_path / name / "prepared-8px-3ch" for name in ("straight", "killed")]
        assert contents(folders[0]) == contents(folders[1])
        assert [path.name for path in (tmp_path / "killed").glob(".*")] == []

    @pytest.mark.slow
    def test_nothing_of_other_originals_is_kept(self, tmp_path: Path) -> None:
        settings = pets(tmp_path)
        assert process_of(forked(tmp_path / "jobs", prepare_until, settings, 5)).poll() == -signal.SIGKILL
        for file in (tmp_path / "train" / "class0").iterdir():
            Image.new("RGB", (9, 9), "white").save(file)
        prepare("imagenet1k", settings)
        train = read_set("imagenet1k", settings).load(None).train
        assert isinstance(train, Arrays)
        assert (train.x == 255).all(axis=(1, 2, 3)).sum() == 30

    def test_arrays_that_are_cut_short_are_not_ready(self, tmp_path: Path) -> None:
        settings = pets(tmp_path)
        prepare("imagenet1k", settings)
        array = tmp_path / "prepared-8px-3ch" / "train-images.npy"
        array.write_bytes(array.read_bytes()[:1000])
        assert not read_set("imagenet1k", settings).source().ready
        prepare("imagenet1k", settings)
        assert read_set("imagenet1k", settings).source().ready

    @pytest.mark.slow
    def test_two_at_once_prepare_once(self, tmp_path: Path) -> None:
        settings = pets(tmp_path)
        with multiprocessing.get_context("spawn").Pool(2) as pool:
            told = pool.map(prepare_and_tell, [settings] * 4)
        assert sorted(told) == [0, 0, 0, 2]
        assert not list(tmp_path.glob(".*"))


def prepare_and_tell(settings: dict[str, Any]) -> int:
    """Return how often it was told of progress."""
    told: list[str] = []
    prepare("imagenet1k", settings, watch=lambda split, *_: told.append(split))
    return len(told)


@pytest.mark.parametrize("suffix", ["png", "pgm"])
@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_of_16_bits_are_as_bright_as_those_of_8(suffix: str, channels: int, tmp_path: Path) -> None:
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    for name, image in (("eight", grey), ("sixteen", grey.astype(np.uint16) * 257)):
        Image.fromarray(image).save(tmp_path / f"{name}.{suffix}")
    eight, sixteen = (
        decoded(tmp_path / f"{name}.{suffix}", size=16, channels=channels) for name in ("eight", "sixteen")
    )
    assert np.array_equal(eight, sixteen)
    assert np.array_equal(eight[0], grey)
    assert np.array_equal(decoded((tmp_path / f"sixteen.{suffix}").read_bytes(), size=16, channels=1)[0], grey)


class TestBadInput:
    @pytest.mark.parametrize(("mode", "said"), [("F", "floats"), ("I", "whole numbers")])
    def test_pixels_of_32_bits(self, mode: str, said: str, tmp_path: Path) -> None:
        Image.new(mode, (4, 4)).save(tmp_path / "wide.tiff")
        with pytest.raises(UserError, match=rf"wide\.tiff, whose pixels are {said} of 32 bits; wanted 8 or 16"):
            decoded(tmp_path / "wide.tiff", size=4, channels=3)

    def test_labels_below_zero(self, tmp_path: Path) -> None:
        for split, labels in (("train", [0, 1, -1]), ("test", [0, 1])):
            parquet_file(tmp_path / f"{split}.parquet", labels)
        with pytest.raises(UserError, match=r"found labels from -1 to 1 in .*train.*; wanted whole numbers from 0"):
            prepare("stl10", {"root": str(tmp_path), "image_size": 8, "classes": 2, "examples": 3})

    def test_a_set_that_is_missing(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match=r"found no images of stl10 in .*; put its images into"):
            prepare("stl10", {"root": str(tmp_path)})
        with pytest.raises(UserError, match=r"found no cifar10 at 32 pixels .* then scaling data prepare cifar10"):
            Cifar10(root=str(tmp_path)).load(None)

    def test_half_a_set(self, tmp_path: Path) -> None:
        image_folder(tmp_path, {"train": [2, 2]})
        settings = {"root": str(tmp_path), "image_size": 8, "classes": 2}
        with pytest.raises(UserError, match=r"found 4 training images in .* data.examples=4"):
            prepare("stl10", settings)
        with pytest.raises(UserError, match=r"found train; wanted train and at least one of validation and test"):
            prepare("stl10", {**settings, "examples": 4})

    def test_a_picture_that_is_none(self, tmp_path: Path) -> None:
        image_folder(tmp_path, {"train": [2, 2], "test": [2, 2]})
        (tmp_path / "train" / "class0" / "1.png").write_bytes(b"no picture")
        with pytest.raises(UserError, match=r"1\.png, which cannot be decoded"):
            prepare("stl10", {"root": str(tmp_path), "image_size": 8, "classes": 2, "examples": 4})
        assert not Stl10(root=str(tmp_path), image_size=8).source().ready

    def test_a_picture_of_a_table_is_named_by_its_row(self, tmp_path: Path) -> None:
        rows = table([0, 1, 0]).to_pylist()
        rows[2]["image"]["bytes"] = rows[2]["image"]["bytes"][:50]
        parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "train.parquet")
        parquet_file(tmp_path / "test.parquet", [0, 1])
        with pytest.raises(UserError, match=r"a picture in row 2 \(from 0\), which cannot be decoded"):
            prepare("stl10", {"root": str(tmp_path), "image_size": 8, "classes": 2, "examples": 3})

    def test_pictures_that_wait_or_fill_the_memory(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        os.mkfifo(tmp_path / "pipe.png")
        with pytest.raises(UserError, match=r"pipe\.png, which is no file"):
            decoded(tmp_path / "pipe.png", size=4, channels=3)
        Image.new("L", (40, 40)).save(tmp_path / "large.png")
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
        with pytest.raises(UserError, match=r"large\.png, which cannot be decoded \(Image size \(1600 pixels\)"):
            decoded(tmp_path / "large.png", size=4, channels=3)

    def test_a_disk_too_small(self, tmp_path: Path) -> None:
        image_folder(tmp_path, {"train": [2, 2], "test": [2, 2]})
        with pytest.raises(UserError, match=r"GB free on the disk of .* make room"):
            prepare("stl10", {"root": str(tmp_path), "image_size": 10**8, "classes": 2, "examples": 4})

    def test_a_class_only_in_the_test_images(self, tmp_path: Path) -> None:
        image_folder(tmp_path, {"train": [2, 2], "test": [2, 2, 1]})
        with pytest.raises(UserError, match="found the class class2"):
            prepare("stl10", {"root": str(tmp_path), "image_size": 8, "classes": 2, "examples": 4})

    def test_training_images_among_the_test_images(self, tmp_path: Path) -> None:
        image_folder(tmp_path, {"train": [9, 9]})
        shutil.copytree(tmp_path / "train", tmp_path / "test")
        with pytest.raises(UserError, match=r"found (validation|test) examples of .* among its training examples"):
            prepare("stl10", {"root": str(tmp_path), "image_size": 8, "classes": 2, "examples": 18})

    def test_a_class_without_training_images(self, tmp_path: Path) -> None:
        image_folder(tmp_path, {"train": [2, 2], "test": [2, 2]})
        (tmp_path / "train" / "zebra").mkdir()
        with pytest.raises(UserError, match=r"found no image in .*train/zebra; wanted some \(.*\.tif"):
            prepare("stl10", {"root": str(tmp_path), "image_size": 8, "classes": 3, "examples": 4})

    def test_labels_that_are_words(self, tmp_path: Path) -> None:
        words = table([0, 1]).set_column(1, "label", pa.array(["cat", "dog"]))
        parquet.write_table(words, tmp_path / "train.parquet")
        with pytest.raises(UserError, match="found labels such as 'cat'"):
            prepare("stl10", {"root": str(tmp_path), "examples": 2})

    def test_labels_that_are_missing(self, tmp_path: Path) -> None:
        parquet.write_table(table([0, 1]).set_column(1, "label", pa.array([0, None])), tmp_path / "train.parquet")
        with pytest.raises(UserError, match=r"found rows without a label in .*train\.parquet \(1\)"):
            prepare("stl10", {"root": str(tmp_path), "examples": 2})

    def test_a_piece_of_a_table_that_has_other_columns(self, tmp_path: Path) -> None:
        parquet_file(tmp_path / "train-00000-of-00002.parquet", [0, 1])
        parquet_file(tmp_path / "train-00001-of-00002.parquet", [0, 1], label="kind")
        with pytest.raises(UserError, match=r"found the columns image.* in .*; wanted image \(or img\) and label"):
            prepare("stl10", {"root": str(tmp_path), "examples": 4})

    def test_tables_that_are_damaged_or_empty(self, tmp_path: Path) -> None:
        (tmp_path / "train.parquet").write_bytes(b"PAR1 and no more")
        with pytest.raises(UserError, match=r"found .*train\.parquet, which cannot be read .*; wanted a whole file"):
            prepare("stl10", {"root": str(tmp_path)})
        parquet.write_table(table([0, 1])[:0], tmp_path / "train.parquet")
        with pytest.raises(UserError, match="found no images of stl10"):
            prepare("stl10", {"root": str(tmp_path)})
        saved(tmp_path / "train", [[0, 1]])
        (tmp_path / "train" / "data-00000-of-00001.arrow").unlink()
        with pytest.raises(UserError, match=r"00001\.arrow, which cannot be read"):
            prepare("stl10", {"root": str(tmp_path)})

    @pytest.mark.parametrize("names", [["data_batch_1", "test_batch"], ["train", "test", "meta"]])
    def test_pickles_of_cifar(self, names: list[str], tmp_path: Path) -> None:
        (tmp_path / "below").mkdir()
        for name in names:
            (tmp_path / "below" / name).write_bytes(b"")
        with pytest.raises(UserError, match=r"pickled .* cifar-10-binary\.tar\.gz"):
            prepare("cifar10", {"root": str(tmp_path)})

    def test_a_saved_choice_of_rows(self, tmp_path: Path) -> None:
        saved(tmp_path / "train", [[0, 1]])
        state = tmp_path / "train" / "state.json"
        state.write_text(json.dumps({**json.loads(state.read_text()), "_indices_data_files": ["indices.arrow"]}))
        with pytest.raises(UserError, match="flatten_indices"):
            prepare("stl10", {"root": str(tmp_path), "examples": 2})

    def test_another_resolution_says_what_makes_it(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match=r"scaling data prepare cifar10 data\.image_size=64 data\.root="):
            Cifar10(root=str(tmp_path), image_size=64).load(None)

    def test_a_misspelt_name_and_key(self) -> None:
        with pytest.raises(UserError, match="did you mean cifar10"):
            prepare("cifer10")
        with pytest.raises(UserError, match=r"did you mean data\.image_size"):
            prepare("cifar10", {"imagesize": 4})


def test_the_survey_names_every_set_and_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCALING_DATA", str(tmp_path))
    found = {one.name: one for one in survey()}
    assert found["teacher"].ready
    assert found["digits"].ready
    assert not found["imagenet21k"].ready
    assert str(tmp_path / "imagenet21k") in found["imagenet21k"].advice
    assert all(one.ready or one.advice for one in found.values())


def test_what_needs_no_preparing_is_opened_and_checked() -> None:
    ready = prepare("digits")
    assert (ready.n_train, ready.n_test, ready.where) == (1_197, 300, "inside scikit-learn")
    assert prepare("teacher").n_train is None


def test_where_nothing_can_be_locked_one_sentence_says_so(tmp_path, monkeypatch):
    def refuse(lock, how):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("scaling.data.prepare.file_lock.fcntl.flock", refuse)
    with (
        pytest.raises(UserError, match=r"cannot be locked \(No locks available\)"),
        locked(tmp_path / "l", doing="at it"),
    ):
        pass
    assert list(tmp_path.iterdir()) == []
