"""Prepared images: uint8 arrays of one resolution on disk, mapped into memory.

The training images are in the subset order of seed 0, so that every subset of that seed is the front of the file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from scaling.data.base import SPLITS, Arrays, Published
from scaling.data.finite import Whole
from scaling.data.memory import shared_array
from scaling.errors import UserError

ORDER_SEED = 0  # of the order in which training images are written
SCHEMA = 1
FACTS, PLACES = "facts.json", "test-places.npy"


@dataclass(frozen=True)
class Facts:
    """Facts of prepared images, written after them in their folder."""

    schema: int
    image_size: int
    channels: int
    examples: Mapping[str, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    published: int | None = None  # images of the split that the test images come from, where PLACES are known
    originals: str | None = None  # what they were made from (see originals.py); None: before version 0.2


@dataclass(frozen=True)
class Prepared:
    """A folder of prepared images."""

    folder: Path
    facts: Facts

    @classmethod
    def open(cls, folder: Path | str) -> Prepared:
        """Read the facts of prepared images; UserError if the folder is damaged."""
        path = Path(folder) / FACTS
        try:
            facts = Facts(**json.loads(path.read_text()))
        except (OSError, ValueError, TypeError) as error:
            raise UserError(
                f"found {path}, which cannot be read ({error}); remove {folder} and prepare again"
            ) from error
        return cls(Path(folder), facts)

    def whole(self) -> Whole:
        """Return all splits, mapped into memory."""
        train, validation, test = (self._split(name) for name in SPLITS)
        facts = {"prepared": self.folder.name}
        mean, std = tuple(self.facts.mean), tuple(self.facts.std)
        return Whole(train, validation, test, mean, std, facts=facts, ordered=ORDER_SEED, published=self._published())

    def _published(self) -> Published | None:
        total = self.facts.published
        return None if total is None else Published(np.load(self.folder / PLACES), total)

    def _split(self, name: str) -> Arrays:
        images = shared_array(self.folder / f"{name}-images.npy")
        return Arrays(images, np.load(self.folder / f"{name}-labels.npy"))


def prepared_folder(folder: Path, *, image_size: int, channels: int) -> Path:
    """Return the folder for images of one resolution."""
    return folder / f"prepared-{image_size}px-{channels}ch"


def find_prepared(folder: Path, *, image_size: int, channels: int) -> Path | None:
    """Return the folder of images prepared at this resolution, None if there is none or it is incomplete."""
    found = prepared_folder(folder, image_size=image_size, channels=channels)
    return found if (found / FACTS).is_file() and _is_whole(Prepared.open(found)) else None


def _is_whole(prepared: Prepared) -> bool:
    """Return whether every array exists with its full length."""
    facts, folder = prepared.facts, prepared.folder
    least = {f"{name}-images.npy": n * facts.channels * facts.image_size**2 for name, n in facts.examples.items()}
    least |= {f"{name}-labels.npy": n for name, n in facts.examples.items()}
    try:
        return all((folder / name).stat().st_size > size for name, size in least.items())
    except FileNotFoundError:
        return False
