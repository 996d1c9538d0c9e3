"""Prepared images: uint8 arrays of one resolution on disk, written once; large ones are mapped into memory.

The training images are in the subset order of seed 0, so that every subset of that seed is the front of the file.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from scaling.data.base import SPLITS, Arrays, Published
from scaling.data.check import check_labels
from scaling.data.finite import SPLIT_SEED, Whole
from scaling.data.memory import load_array
from scaling.data.pixels import moments
from scaling.data.prepare.pictures import Pictures, pixels
from scaling.data.subset import subset_order
from scaling.errors import UserError
from scaling.folders import folder_aside

ORDER_SEED = 0  # of the order in which training images are written
SCHEMA = 1
PLACES = "test-places.npy"


@dataclass(frozen=True)
class Facts:
    """Facts of prepared images; written beside them, last."""

    schema: int
    image_size: int
    channels: int
    examples: Mapping[str, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    published: int | None = None  # images of the split that the test images come from, where PLACES are known


@dataclass(frozen=True)
class Prepared:
    """A folder of prepared images."""

    folder: Path
    facts: Facts

    @classmethod
    def open(cls, folder: Path | str) -> Prepared:
        """Read the facts of prepared images; UserError where the folder is damaged."""
        path = Path(folder) / "facts.json"
        try:
            facts = Facts(**json.loads(path.read_text()))
        except (OSError, ValueError, TypeError) as error:
            raise UserError(
                f"found {path}, which cannot be read ({error}); remove {folder} and prepare again"
            ) from error
        return cls(Path(folder), facts)

    def whole(self) -> Whole:
        """Return all splits; large ones are mapped, not read."""
        train, validation, test = (self._split(name) for name in SPLITS)
        facts = {"prepared": self.folder.name}
        mean, std = tuple(self.facts.mean), tuple(self.facts.std)
        return Whole(train, validation, test, mean, std, facts=facts, ordered=ORDER_SEED, published=self._published())

    def _published(self) -> Published | None:
        total = self.facts.published
        return None if total is None else Published(np.load(self.folder / PLACES), total)

    def _split(self, name: str) -> Arrays:
        images = load_array(self.folder / f"{name}-images.npy")
        return Arrays(images, np.load(self.folder / f"{name}-labels.npy"))


def prepared_folder(folder: Path, *, image_size: int, channels: int) -> Path:
    """Return the folder for images of one resolution."""
    return folder / f"prepared-{image_size}px-{channels}ch"


def find_prepared(folder: Path, *, image_size: int, channels: int) -> Path | None:
    """Return the folder of images prepared at this resolution, None where there is none."""
    found = prepared_folder(folder, image_size=image_size, channels=channels)
    return found if (found / "facts.json").is_file() else None


def write_prepared(
    pictures: Mapping[str, Pictures],
    folder: Path,
    *,
    image_size: int,
    channels: int,
    watch: Callable[[str, int, int], None] | None = None,
) -> Prepared:
    """Decode, crop and resize all pictures into arrays, written whole or not at all.

    `watch`: called from time to time with the split, the pictures done and their number.
    """
    final = prepared_folder(folder, image_size=image_size, channels=channels)
    rows = _rows(pictures)
    with folder_aside(final) as aside:
        _check_room(aside, sum(len(pictures[split].labels) for split in rows) * channels * image_size**2)
        published = None
        for split, parts in rows.items():
            told = _named(watch, split)
            _write_split(pictures[split], parts, aside, size=image_size, channels=channels, watch=told)
            published = _write_places(pictures[split], parts, aside) or published
        examples = {name: len(part) for parts in rows.values() for name, part in parts.items()}
        mean, std = moments(np.load(aside / "train-images.npy", mmap_mode="r"))
        facts = Facts(SCHEMA, image_size, channels, examples, mean, std, published)
        (aside / "facts.json").write_text(json.dumps(asdict(facts), indent=1))
    return Prepared.open(final)


def _write_places(pictures: Pictures, parts: Mapping[str, np.ndarray], folder: Path) -> int | None:
    """Write the positions of the test images among the named images they come from; return how many those are."""
    places = _places(pictures.names()) if "test" in parts else None
    if places is None:
        return None
    np.save(folder / PLACES, places[parts["test"]])
    return len(places)


def _check_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise UserError(
            f"found {free / 1e9:.1f} GB free on the disk of {folder.parent}; wanted {needed / 1e9:.1f} GB "
            f"for the arrays; make room, or give a smaller data.image_size"
        )


def _rows(pictures: Mapping[str, Pictures]) -> dict[str, dict[str, np.ndarray]]:
    """Return which pictures of each original split go into which split of ours, in the order of writing."""
    held_out = [name for name in SPLITS[1:] if name in pictures]
    for name, split in pictures.items():
        check_labels(split.labels, "labels", f"the {name} images")
    if "train" not in pictures or not held_out:
        found = ", ".join(sorted(pictures)) or "no split"
        raise UserError(f"found {found}; wanted train and at least one of validation and test; add its images")
    rows = {"train": {"train": subset_order(pictures["train"].labels, seed=ORDER_SEED)}}
    if len(held_out) == 2:
        return rows | {name: {name: np.arange(len(pictures[name].labels))} for name in held_out}
    [only] = held_out
    order = subset_order(pictures[only].labels, seed=SPLIT_SEED)
    half = len(order) // 2
    return rows | {only: {"validation": np.sort(order[:half]), "test": np.sort(order[half:])}}


def _places(names: Sequence[str] | None) -> np.ndarray | None:
    """Return the position of each name in sorted order, (n,) int64; None where there are no names or they repeat."""
    if names is None or len(set(names)) < len(names):
        return None
    places = np.empty(len(names), dtype=np.int64)
    places[np.argsort(np.array(names), kind="stable")] = np.arange(len(names))
    return places


def _write_split(
    pictures: Pictures,
    parts: Mapping[str, np.ndarray],
    folder: Path,
    *,
    size: int,
    channels: int,
    watch: Callable[[int, int], None],
) -> None:
    total = len(pictures.labels)
    part_of = np.empty(total, dtype=np.int64)
    place = np.empty(total, dtype=np.int64)
    arrays = []
    for index, (name, rows) in enumerate(parts.items()):
        part_of[rows], place[rows] = index, np.arange(len(rows))
        shape = (len(rows), channels, size, size)
        path = folder / f"{name}-images.npy"
        arrays.append(np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape))
        np.save(folder / f"{name}-labels.npy", pictures.labels[rows])
    for start, images in pixels(pictures, size=size, channels=channels):
        stop = start + len(images)
        for index, array in enumerate(arrays):
            mine = part_of[start:stop] == index
            array[place[start:stop][mine]] = images[mine]
        watch(stop, total)
    for array in arrays:
        array.flush()


def _named(watch: Callable[[str, int, int], None] | None, split: str) -> Callable[[int, int], None]:
    def told(done: int, total: int) -> None:
        if watch is not None:
            watch(split, done, total)

    return told
