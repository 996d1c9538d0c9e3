"""Images as they are distributed: a folder a class, Parquet files, binary CIFAR or STL, or the hub."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from scaling.data import hub
from scaling.errors import UserError

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".ppm", ".pgm"}
NAMES = {"train": ("train", "training"), "validation": ("validation", "valid", "val"), "test": ("test", "testing")}
IMAGES = ("image", "img")  # columns, the first that is there
LABELS = ("label", "fine_label", "labels", "class")
UNSORTED, ANNOTATIONS = "images", "val_annotations.txt"  # TinyImageNet: images of all classes, and which is which
AT_A_TIME = 2_000  # pictures decoded side by side

Picture = Path | bytes | np.ndarray  # a file, its content, or pixels (height, width, channels)


@dataclass(frozen=True)
class Pictures:
    """One split: `labels` (n,) int64 and a function that yields the pictures in the same order."""

    labels: np.ndarray
    read: Callable[[], Iterator[Picture]]


def find_pictures(folder: Path) -> dict[str, Pictures]:
    """Return the splits found in a folder, {} where there are none."""
    found = {}
    classes: list[str] | None = None
    for split, names in NAMES.items():
        directory = next((folder / name for name in names if (folder / name).is_dir()), None)
        if directory is not None and _classes(directory):
            classes = classes or _classes(directory)
            if _classes(directory) != [UNSORTED]:
                found[split] = _of_folders(directory, classes)
            elif (directory / ANNOTATIONS).is_file():
                found[split] = _of_annotations(directory, classes)
            continue
        if files := _parquet(folder, names):
            found[split] = _of_parquet(files)
    return {split: pictures for split, pictures in (found or _binary(folder)).items() if _labelled(pictures)}


def from_hub(name: str) -> dict[str, Pictures]:
    """Return the splits of a set that Hugging Face `datasets` knows, {} where that is not installed."""
    if not hub.known():
        return {}
    from datasets import Image

    found = {}
    for split, rows in hub.fetch(name).items():
        ours = next((own for own, names in NAMES.items() if split in names), None)
        label = next((column for column in LABELS if column in rows.column_names), None)
        image = next((column for column in IMAGES if column in rows.column_names), None)
        if ours is not None and label is not None and image is not None:
            encoded = rows.cast_column(image, Image(decode=False))
            found[ours] = Pictures(np.asarray(rows[label], dtype=np.int64), partial(_of_rows, encoded, image))
    return {split: pictures for split, pictures in found.items() if _labelled(pictures)}


def _of_rows(rows: Any, image: str) -> Iterator[Picture]:
    return (_content(row[image]) for row in rows)


def pixels(pictures: Pictures, *, size: int, channels: int) -> Iterator[tuple[int, np.ndarray]]:
    """Yield where each stretch of pictures starts and its centre squares, (n, channels, size, size) uint8."""

    def decode(picture: Picture) -> np.ndarray:
        return decoded(picture, size=size, channels=channels)

    start, source = 0, pictures.read()
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # decoding and resizing leave the interpreter's lock
        while stretch := list(islice(source, AT_A_TIME)):
            yield start, np.stack(list(pool.map(decode, stretch)))
            start += len(stretch)


def decoded(picture: Picture, *, size: int, channels: int) -> np.ndarray:
    """Return one picture's centre square at `size` pixels, (channels, size, size) uint8."""
    from PIL import Image, ImageOps

    try:
        if isinstance(picture, np.ndarray):
            image = Image.fromarray(picture)
        else:
            image = Image.open(io.BytesIO(picture) if isinstance(picture, bytes) else picture)
            image.draft(None, (2 * size, 2 * size))  # lets a JPEG be decoded at a fraction of its size
        image = image.convert("RGB" if channels == 3 else "L")
    except OSError as error:
        name = picture if isinstance(picture, Path) else "a picture"
        raise UserError(f"found {name}, which cannot be decoded ({error}); mend or remove it") from error
    if image.size != (size, size):
        image = ImageOps.fit(image, (size, size), method=Image.Resampling.BICUBIC)
    array = np.asarray(image, dtype=np.uint8)
    return array[None] if array.ndim == 2 else np.ascontiguousarray(array.transpose(2, 0, 1))


def _labelled(pictures: Pictures) -> bool:
    return len(pictures.labels) > 0 and int(pictures.labels.min()) >= 0  # hidden labels are published as -1


def _classes(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir() if path.is_dir())


def _of_folders(directory: Path, classes: list[str]) -> Pictures:
    unknown = sorted(set(_classes(directory)) - set(classes))
    if unknown:
        raise UserError(
            f"found the class {unknown[0]} in {directory}; wanted only classes that are in the training images; "
            f"remove its folder"
        )
    files: list[Path] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        mine = sorted(path for path in (directory / name).rglob("*") if path.suffix.lower() in SUFFIXES)
        files += mine
        labels += [label] * len(mine)
    return Pictures(np.array(labels, dtype=np.int64), lambda: iter(files))


def _of_annotations(directory: Path, classes: list[str]) -> Pictures:
    """Read TinyImageNet's validation images, whose classes stand in a file: image, class, box, tab-separated."""
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
    return Pictures(np.array(labels, dtype=np.int64), lambda: iter(files))


def _parquet(folder: Path, names: tuple[str, ...]) -> list[Path]:
    """Return train.parquet, train-00000-of-00002.parquet …, in the folder or in data/, or all that lie in train/."""
    named = [
        path
        for place in (folder, folder / "data")
        for path in sorted(place.glob("*.parquet"))
        if path.name.split(".")[0].split("-")[0] in names
    ]
    return named or [path for name in names for path in sorted((folder / name).glob("*.parquet"))]


def _of_parquet(files: list[Path]) -> Pictures:
    from pyarrow import parquet

    columns = parquet.read_schema(files[0]).names
    label = next((name for name in LABELS if name in columns), None)
    image = next((name for name in IMAGES if name in columns), None)
    if label is None or image is None:
        raise UserError(
            f"found the columns {', '.join(columns)} in {files[0]}; wanted image (or img) and label; rename them"
        )
    labels = np.concatenate([parquet.read_table(path, columns=[label])[label].to_numpy() for path in files])

    def read() -> Iterator[Picture]:
        for path in files:
            for batch in parquet.ParquetFile(path).iter_batches(batch_size=AT_A_TIME, columns=[image]):
                yield from (_content(cell) for cell in batch[image].to_pylist())

    return Pictures(labels.astype(np.int64), read)


def _content(cell: Any) -> bytes:
    content = cell.get("bytes") if isinstance(cell, dict) else cell
    if not isinstance(content, bytes):
        raise UserError(
            "found an image in a Parquet file without its bytes; wanted them inside; export it with its images"
        )
    return content


def _binary(folder: Path) -> dict[str, Pictures]:
    """Read the binary version of CIFAR-10, CIFAR-100 or STL-10, whichever lies in the folder or one below it."""
    for place in [folder, *sorted(path for path in folder.glob("*") if path.is_dir())]:
        if (place / "test_batch.bin").is_file():
            batches = sorted(place.glob("data_batch_*.bin"))
            return {"train": _cifar(batches, labels=1), "test": _cifar([place / "test_batch.bin"], labels=1)}
        if (place / "train_X.bin").is_file():
            return {split: _stl(place, split) for split in ("train", "test")}
        if (place / "train.bin").is_file() and (place / "test.bin").is_file():
            return {split: _cifar([place / f"{split}.bin"], labels=2) for split in ("train", "test")}
    return {}


def _cifar(files: list[Path], *, labels: int) -> Pictures:
    """Records of label bytes (the last one counts) and 3 x 32 x 32 pixels."""
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
    """Images of 3 x 96 x 96 pixels, column by column; labels from 1."""
    images = np.fromfile(folder / f"{split}_X.bin", dtype=np.uint8).reshape(-1, 3, 96, 96).transpose(0, 3, 2, 1)
    labels = np.fromfile(folder / f"{split}_y.bin", dtype=np.uint8).astype(np.int64) - 1
    return Pictures(labels, lambda: iter(images))
