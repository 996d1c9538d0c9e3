"""Write prepared images: decode pictures into arrays, named when they are whole.

They are written into a hidden folder. A killed process leaves it behind, and the next one goes on from there.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np

from scaling.data.base import SPLITS
from scaling.data.check import check_held_out, check_labels
from scaling.data.finite import SPLIT_SEED
from scaling.data.pixels import moments
from scaling.data.prepare.arrays import FACTS, ORDER_SEED, PLACES, SCHEMA, Facts, Prepared, prepared_folder
from scaling.data.prepare.pictures import Pictures, pixels
from scaling.data.subset import subset_order
from scaling.errors import UserError
from scaling.folders import write_atomically

COMPARED = 4 * 2**30  # bytes of training images up to which held-out ones are looked for among them
NOTED_SECONDS = 10.0  # between two writes of the progress, each of which waits for the disk
Watch = Callable[[str, int, int], None]  # split, pictures done, pictures in all


def unwatched(split: str, done: int, total: int) -> None:
    """Report nothing."""


def write_prepared(
    pictures: Mapping[str, Pictures], folder: Path, *, image_size: int, channels: int, originals: str, watch: Watch
) -> Prepared:
    """Decode, crop and resize all pictures into arrays, named when they are whole; go on where a killed one stopped.

    originals: tells the pictures from others, so that nothing is mixed; watch: called from time to time with the
    split, the pictures done and their number. One process at a time may write into a folder.
    """
    final = prepared_folder(folder, image_size=image_size, channels=channels)
    rows = _rows(pictures)
    image = (channels, image_size, image_size)
    unfinished = Unfinished(final.with_name(f".{final.name}.partial"), originals, image)
    unfinished.begin(images=sum(len(pictures[split].labels) for split in rows))
    published = None
    for split, parts in rows.items():
        _write_split(split, pictures[split], parts, unfinished, watch)
        published = _write_places(pictures[split], parts, unfinished.folder) or published
    examples = {name: len(part) for parts in rows.values() for name, part in parts.items()}
    images = {
        split: np.asarray(np.load(unfinished.folder / f"{split}-images.npy", mmap_mode="r"))
        for split in SPLITS
        if split in examples
    }
    train = images.pop("train")
    for split, held in images.items():
        if train.nbytes <= COMPARED:
            check_held_out(folder, split, held, train)
    mean, std = moments(train)
    facts = Facts(SCHEMA, image_size, channels, examples, mean, std, published, originals)
    write_atomically(unfinished.folder / FACTS, json.dumps(asdict(facts), indent=1))
    unfinished.name(final)
    return Prepared.open(final)


@dataclass(frozen=True)
class Unfinished:
    """A folder of arrays that are being written, and the progress.

    originals: fingerprint of their source; image: shape of an image.
    """

    folder: Path
    originals: str
    image: tuple[int, int, int]

    @property
    def progress(self) -> Path:
        """The file with the number of pictures of each split that are on disk."""
        return self.folder / "progress.json"

    def begin(self, *, images: int) -> None:
        """Make the folder, or continue one from the same originals; UserError if there is no room for the images."""
        if self._read().get("originals") != self.originals:
            shutil.rmtree(self.folder, ignore_errors=True)
        taken = sum(path.stat().st_blocks * 512 for path in self.folder.glob("*"))
        _check_room(self.folder.parent, images * math.prod(self.image) - taken)
        self.folder.mkdir(exist_ok=True)
        write_atomically(self.progress, json.dumps({"done": {}, **self._read(), "originals": self.originals}))

    def done(self, split: str) -> int:
        """Return how many pictures of a split are on the disk."""
        return int(self._read().get("done", {}).get(split, 0))

    def note(self, split: str, done: int) -> None:
        """Write that number; the arrays have been flushed."""
        found = self._read()
        write_atomically(self.progress, json.dumps({**found, "done": {**found["done"], split: done}}))

    def name(self, final: Path) -> None:
        """Move the complete folder to its final place, replacing what was there."""
        self.progress.unlink()
        former = final.with_name(f".{final.name}.former")
        shutil.rmtree(former, ignore_errors=True)
        if final.exists():
            final.rename(former)
        self.folder.rename(final)
        shutil.rmtree(former, ignore_errors=True)

    def _read(self) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads(self.progress.read_text())
        except (OSError, ValueError):
            return {}
        return found


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
            f"found {free / 1e9:.1f} GB free on the disk of {folder}; wanted {needed / 1e9:.1f} GB "
            f"for the arrays; make room, or give a smaller data.image_size"
        )


def _rows(pictures: Mapping[str, Pictures]) -> dict[str, dict[str, np.ndarray]]:
    """Return which pictures of each original split go into which of our splits, in the order of writing."""
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
    """Return the position of each name in sorted order, (n,) int64; None if there are no names or they repeat."""
    if names is None or len(set(names)) < len(names):
        return None
    places = np.empty(len(names), dtype=np.int64)
    places[np.argsort(np.array(names), kind="stable")] = np.arange(len(names))
    return places


def _write_split(
    split: str, pictures: Pictures, parts: Mapping[str, np.ndarray], unfinished: Unfinished, watch: Watch
) -> None:
    """Write the pictures of an original split into the arrays of its `parts`, on from where another process stopped.

    parts: for each of our splits which of the pictures it gets, in its order.
    """
    total, done = len(pictures.labels), unfinished.done(split)
    part_of = np.empty(total, dtype=np.int64)
    place = np.empty(total, dtype=np.int64)
    arrays: list[np.memmap[Any, np.dtype[np.uint8]]] = []
    for index, (name, rows) in enumerate(parts.items()):
        part_of[rows], place[rows] = index, np.arange(len(rows))
        path, mode = unfinished.folder / f"{name}-images.npy", "r+" if done else "w+"
        shape = (len(rows), *unfinished.image)
        arrays.append(np.lib.format.open_memmap(path, mode=mode, dtype=np.uint8, shape=shape))
        np.save(unfinished.folder / f"{name}-labels.npy", pictures.labels[rows])
    noted = monotonic()
    if done:  # by a process before
        watch(split, done, total)
    channels, size, _ = unfinished.image
    for start, images in pixels(pictures, size=size, channels=channels, start=done) if done < total else ():
        done = start + len(images)
        if done > total:
            break
        for index, array in enumerate(arrays):
            mine = part_of[start:done] == index
            array[place[start:done][mine]] = images[mine]
        if monotonic() - noted >= NOTED_SECONDS or done == total:
            for array in arrays:
                array.flush()
            unfinished.note(split, done)
            noted = monotonic()
        watch(split, done, total)
    if done != total:
        raise UserError(f"found {done} {split} pictures with {total} labels; wanted one each; mend the originals")
