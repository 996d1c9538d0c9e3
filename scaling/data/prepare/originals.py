"""Images as they are distributed: a folder per class, Parquet or saved `datasets`, binary CIFAR or STL, the hub."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from scaling.data import hub
from scaling.data.prepare.pictures import Pictures
from scaling.data.prepare.tables import SAVED, hub_tables, parquet_table, saved_table
from scaling.errors import UserError

SUFFIXES = {".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".webp", ".gif", ".ppm", ".pgm", ".tif", ".tiff"}
NAMES = {"train": ("train", "training"), "validation": ("validation", "valid", "val"), "test": ("test", "testing")}
PICKLED = (("data_batch_1", "test_batch"), ("train", "test", "meta"))  # CIFAR-10 and CIFAR-100 for Python
READ = SUFFIXES | {".parquet", ".arrow", ".json", ".bin", ".txt"}  # suffixes of files with pictures or labels
HIDDEN = (".", "__MACOSX")  # beginnings of the names of files that systems and editors leave in users' folders
PREPARED = "prepared-"  # beginning of the names of folders of arrays
UNSORTED, ANNOTATIONS = "images", "val_annotations.txt"  # TinyImageNet: images of all classes, and which is which


def find_pictures(folder: Path) -> dict[str, Pictures]:
    """Return the splits found in a folder, or otherwise in one below it, {} if there are none."""
    below = sorted(path for path in _shown(folder) if path.is_dir() and not path.name.startswith(PREPARED))
    for place in (folder, *below):
        found = _splits(place) or _binary(place)
        if usable := {split: pictures for split, pictures in found.items() if _labelled(pictures)}:
            return usable
    return {}


def fingerprint(folder: Path) -> str:
    """Return a hash of the names, sizes and times of the originals in a folder, "" if there are none."""
    facts = []
    for file in _files(folder):
        if file.suffix.lower() in READ:
            found = file.stat()
            facts.append((str(file.relative_to(folder)), found.st_size, found.st_mtime_ns))
    return hashlib.sha256(repr(sorted(facts)).encode()).hexdigest()[:16] if facts else ""


def _files(folder: Path) -> Iterator[Path]:
    """Yield every file below a folder, through links too, without prepared arrays and hidden files."""
    seen = set[str]()
    for where, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(where)
        folders[:] = [] if real in seen else [n for n in folders if not n.startswith((*HIDDEN, PREPARED))]
        seen.add(real)
        yield from (Path(where, name) for name in files if not name.startswith(HIDDEN))


def _shown(folder: Path) -> list[Path]:
    """Return the entries of a folder without hidden ones, [] if it does not exist."""
    return [path for path in folder.iterdir() if not path.name.startswith(HIDDEN)] if folder.is_dir() else []


def from_hub(name: str) -> dict[str, Pictures]:
    """Return the splits of a set that Hugging Face `datasets` knows, {} if that is not installed."""
    if not hub.is_installed():
        return {}
    tables = hub_tables(name)
    named = ((split, tables.get(own)) for split, names in NAMES.items() for own in names)
    found = {split: table.pictures() for split, table in named if table is not None}
    return {split: pictures for split, pictures in found.items() if _labelled(pictures)}


def _splits(folder: Path) -> dict[str, Pictures]:
    found = {}
    classes: list[str] | None = None
    for split, names in NAMES.items():
        directory = _directory(folder, names)
        if directory is not None and _classes(directory):
            classes = classes or _classes(directory)
            if _classes(directory) != [UNSORTED]:
                found[split] = _of_folders(directory, classes, all_in=split == "train")
            elif (directory / ANNOTATIONS).is_file():
                found[split] = _of_annotations(directory, classes)
        elif directory is not None and (directory / SAVED).is_file():
            found[split] = saved_table(directory).pictures()
        elif files := _parquet(folder, names):
            found[split] = parquet_table(files).pictures()
    return found


def _directory(folder: Path, names: tuple[str, ...]) -> Path | None:
    """Return the folder of a split, such as val or imagenet21k_val."""
    exact = (folder / name for name in names)
    ending = (path for name in names for path in sorted(_shown(folder)) if path.name.endswith(f"_{name}"))
    return next((path for path in (*exact, *ending) if path.is_dir()), None)


def _labelled(pictures: Pictures) -> bool:
    return len(pictures.labels) > 0 and int(pictures.labels.max()) >= 0  # hidden labels are published as -1


def _classes(directory: Path) -> list[str]:
    return sorted(path.name for path in _shown(directory) if path.is_dir())


def _of_folders(directory: Path, classes: list[str], *, all_in: bool) -> Pictures:
    """Read a folder for each class; all_in: UserError for a class without images."""
    unknown = sorted(set(_classes(directory)) - set(classes))
    if unknown:
        raise UserError(
            f"found the class {unknown[0]} in {directory}; wanted only classes that are in the training images; "
            f"remove its folder"
        )
    files: list[Path] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        mine = sorted(path for path in _files(directory / name) if path.suffix.lower() in SUFFIXES)
        if all_in and not mine:
            raise UserError(
                f"found no image in {directory / name}; wanted some ({', '.join(sorted(SUFFIXES))}); add them, or "
                f"remove the folder"
            )
        files += mine
        labels += [label] * len(mine)
    return Pictures(np.array(labels, dtype=np.int64), lambda: iter(files), lambda: [path.name for path in files])


def _of_annotations(directory: Path, classes: list[str]) -> Pictures:
    """Read TinyImageNet's validation images and the file of their classes: image, class, box, tab-separated."""
    index = {name: label for label, name in enumerate(classes)}
    lines = [line.split("\t") for line in (directory / ANNOTATIONS).read_text().splitlines() if line]
    files = [directory / UNSORTED / line[0] for line in lines]
    labels = [index.get(line[1]) for line in lines]
    if None in labels:
        unknown = lines[labels.index(None)][1]
        raise UserError(
            f"found the class {unknown} in {directory / ANNOTATIONS}; wanted only classes that are in the training "
            f"images; complete those"
        )
    return Pictures(np.array(labels, dtype=np.int64), lambda: iter(files), lambda: [path.name for path in files])


def _parquet(folder: Path, names: tuple[str, ...]) -> list[Path]:
    """Return train.parquet, train-00000-of-00002.parquet …, in the folder or in data/, or all that lie in train/."""
    named = [
        path
        for place in (folder, folder / "data")
        for path in sorted(_shown(place))
        if path.suffix == ".parquet" and path.name.split(".")[0].split("-")[0] in names
    ]
    inside = (path for name in names for path in sorted(_shown(folder / name)))
    return named or [path for path in inside if path.suffix == ".parquet"]


def _binary(folder: Path) -> dict[str, Pictures]:
    """Read the binary version of CIFAR-10, CIFAR-100 or STL-10, whichever lies in the folder."""
    if (folder / "test_batch.bin").is_file():
        batches = sorted(folder.glob("data_batch_*.bin"))
        return {"train": _cifar(batches, labels=1), "test": _cifar([folder / "test_batch.bin"], labels=1)}
    if (folder / "train_X.bin").is_file():
        return {split: _stl(folder, split) for split in ("train", "test")}
    if (folder / "train.bin").is_file() and (folder / "test.bin").is_file():
        return {split: _cifar([folder / f"{split}.bin"], labels=2) for split in ("train", "test")}
    if any(all((folder / name).is_file() for name in names) for names in PICKLED):
        raise UserError(
            f"found CIFAR's Python version in {folder}, which is pickled and could run anything; wanted its binary "
            f"version; fetch cifar-10-binary.tar.gz or cifar-100-binary.tar.gz from the same page and unpack it there"
        )
    return {}


def _cifar(files: list[Path], *, labels: int) -> Pictures:
    """Read records of `labels` label bytes (the last one is used) and 3 x 32 x 32 pixels."""
    record = labels + 3 * 32 * 32
    content = np.concatenate([np.fromfile(path, dtype=np.uint8) for path in files])
    if len(content) % record:
        raise UserError(
            f"found {len(content)} bytes in {files[0].parent}; wanted whole records of {record}; fetch it again"
        )
    rows = content.reshape(-1, record)
    images = rows[:, labels:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return Pictures(rows[:, labels - 1].astype(np.int64), lambda: iter(images))


def _stl(folder: Path, split: str) -> Pictures:
    """Read images of 3 x 96 x 96 pixels, column by column, and labels from 1."""
    images = np.fromfile(folder / f"{split}_X.bin", dtype=np.uint8).reshape(-1, 3, 96, 96).transpose(0, 3, 2, 1)
    labels = np.fromfile(folder / f"{split}_y.bin", dtype=np.uint8).astype(np.int64) - 1
    return Pictures(labels, lambda: iter(images))
