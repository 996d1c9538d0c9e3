"""Scikit-learn's 1,797 images of handwritten digits: for quick tests; too few for a scaling law."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from scaling.config import part
from scaling.data.base import Arrays, Source
from scaling.data.finite import SPLIT_SEED, FiniteSet, Whole, dealt
from scaling.data.pixels import moments

HELD_OUT = 300  # examples of the test split, and as many of the validation split


@dataclass(frozen=True, kw_only=True)
class Digits(FiniteSet):
    """Classify 8 x 8 images with pixel values 0 to 16; 1,197 to train on, 300 to validate, 300 to test."""

    name: ClassVar[str] = "digits"
    n_test: ClassVar[int] = HELD_OUT
    n_validation: ClassVar[int] = HELD_OUT

    classes: Literal[10] = 10
    examples: Literal[1_197] = part(1_197, identity=False)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one image, (channels, height, width)."""
        return (1, 8, 8)

    def source(self) -> Source:
        """Return that it comes with scikit-learn."""
        return Source(ready=True, where="inside scikit-learn")

    def read(self) -> Whole:
        """Read the images and deal them into the three splits."""
        table = np.loadtxt(_file(), delimiter=",")
        images, labels = table[:, :-1].reshape(-1, *self.shape), table[:, -1]
        everything = Arrays(images.astype(np.uint8), labels.astype(np.int64))
        test, validation, train = dealt(everything, HELD_OUT, HELD_OUT, seed=SPLIT_SEED)
        return Whole(train, validation, test, *moments(train.x))


def _file() -> Path:
    """Return the file that sklearn.datasets.load_digits reads: importing that takes a second of CPU a process."""
    package = find_spec("sklearn")
    assert package is not None, "scikit-learn is installed with this package"
    return Path(str(package.origin)).parent / "datasets" / "data" / "digits.csv.gz"
