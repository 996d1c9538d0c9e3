"""A user's own arrays, from one .npz file with x_train, y_train and, if there are any, x_val, y_val, x_test, y_test."""

from __future__ import annotations

import hashlib
import re
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from pydantic import PositiveInt

from scaling.config import part
from scaling.data.base import Arrays, Source
from scaling.data.check import are_among, check_labels, some_of
from scaling.data.finite import SPLIT_SEED, FiniteSet, Whole, dealt
from scaling.data.pixels import feature_moments, moments
from scaling.errors import UserError

ENDINGS = ("train", "val", "test")  # of the names of arrays, such as x_train
HELD_OUT_NAME = re.compile(  # names of arrays meant for a held-out split, such as X_test or valid_y
    r"(^|[^a-z]|[xy])(val(id(ation)?)?|(?<!std_)dev|test|eval|held_?out|holdout)([^a-z]|[xy]$|$)", re.IGNORECASE
)
OTHER_UNITS = 20.0  # ratio of standard deviations beyond which two arrays are taken to be in different units
NOTHING = 1e-4  # standard deviation of most features, relative to that of all values, below which they are lost
HELD_OUT_SHARE = 10  # one in so many training examples, for a split that the file lacks
BROKEN = (  # errors of NumPy and zipfile for files that are not plain arrays, truncated, damaged, locked or unreadable
    OSError,
    ValueError,
    EOFError,
    AttributeError,
    KeyError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
)


@dataclass(frozen=True, kw_only=True)
class Npz(FiniteSet):
    """Classify the examples of a file whose sizes are declared, so that a plan need not open it.

    Examples are (n, features), or images (n, channels, size, size) or (n, size, size, channels) or (n, size, size),
    uint8 or float; labels are whole numbers from 0. A split that the file lacks is a tenth of its training examples,
    taken by a fixed seed.
    """

    name: ClassVar[str] = "npz"

    file: str
    """Path of the file below `root`."""
    classes: PositiveInt
    examples: PositiveInt = part(identity=False)  # for training, without those of splits that the file lacks
    features: PositiveInt | None = None  # of an example that is no image
    image_size: PositiveInt | None = None  # pixels
    channels: PositiveInt = 1
    sha256: str | None = None
    """SHA-256 of the file, checked if given; part of a run's identity."""
    root: str = part(".", identity=False)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one example, as declared."""
        if (self.features is None) == (self.image_size is None):
            raise UserError(
                "found data.features and data.image_size both given or both missing; wanted one of them, which "
                "declares the shape of an example; give data.features=N or data.image_size=PIXELS"
            )
        if self.features is not None:
            return (self.features,)
        return (self.channels, self.image_size or 0, self.image_size or 0)

    @property
    def path(self) -> Path:
        """The file itself."""
        return Path(self.root).expanduser() / Path(self.file).expanduser()

    def source(self) -> Source:
        """Return the file, and whether it exists."""
        if self.path.is_file():
            return Source(ready=True, where=str(self.path))
        return Source(ready=False, where=str(self.path), advice="put it there, or give data.root=FOLDER data.file=NAME")

    def read(self) -> Whole:
        """Read the file, and take the splits that it lacks from the training examples."""
        source = self.source()
        if not source.ready:
            raise UserError(f"found no file {source.where}; wanted arrays x_train and y_train in it; {source.advice}")
        self._check_hash()
        found = _arrays(self.path)
        splits = {name: self._split(found, name) for name in ENDINGS if f"x_{name}" in found or name == "train"}
        names = list(found)
        del found  # arrays of which the splits are copies
        train = splits["train"]
        for name in splits.keys() - {"train"}:
            self._check_held_out(train.x, splits[name].x, name)
        share = max(1, len(train) // HELD_OUT_SHARE)
        for name in ENDINGS[1:]:
            if name not in splits:
                self._check_names(names, name)
                splits[name], train = dealt(train, share, seed=SPLIT_SEED)
        measure = moments if train.x.dtype == np.uint8 and train.x.ndim == 4 else feature_moments
        mean, std = measure(train.x)
        self._check_features(train.x, std[0])
        return Whole(train, splits["val"], splits["test"], mean, std, facts={"file": self.file})

    def _check_held_out(self, train: np.ndarray, held: np.ndarray, name: str) -> None:
        """Raise UserError if held-out examples are training examples, or in other units."""
        at_head = np.array_equal(held, train[: len(held)]) and (held != held[0]).any()
        if at_head or are_among(held, train):
            where = "at the head of" if at_head else "among"
            raise UserError(
                f"found x_{name} of {self.path} {where} x_train; wanted examples that are not trained on; hold "
                f"some out, or leave x_{name} out to have a tenth of x_train instead"
            )
        (_, [own]), (_, [other]) = feature_moments(some_of(train)), feature_moments(some_of(held))
        if (train.dtype == np.uint8) != (held.dtype == np.uint8) or not 1 / OTHER_UNITS < other / own < OTHER_UNITS:
            raise UserError(
                f"found x_{name} of {self.path} as {held.dtype} with standard deviation {other:.3g}, and x_train as "
                f"{train.dtype} with {own:.3g}; wanted both in the same units, such as pixels from 0 to 255; scale one"
            )

    def _check_features(self, x: np.ndarray, std: float) -> None:
        """Raise UserError if the normalisation, one for all features, leaves most of them next to nothing."""
        if self.features is None or x.shape[1:] != self.shape:
            return
        own = some_of(x).std(axis=0, dtype=np.float64)
        usual = float(np.median(own[own > 0])) if own.any() else std
        if usual < NOTHING * std:
            raise UserError(
                f"found features of x_train of {self.path} with a standard deviation of {usual:.3g} beside others so "
                f"large that all values have {std:.3g}; wanted similar units, because one mean and one deviation "
                f"normalise all features; write (x - x.mean(0)) / x.std(0), by the training examples"
            )

    def _check_names(self, names: Iterable[str], lacking: str) -> None:
        """Raise UserError if a split is lacking and another array may have been meant for it."""
        known = {f"{letter}_{name}" for letter in "xy" for name in ENDINGS}
        meant = sorted(key for key in names if key not in known and HELD_OUT_NAME.search(key))
        if meant:
            raise UserError(
                f"found {', '.join(meant)} in {self.path}, but no x_{lacking}; wanted x_val, y_val, x_test and y_test "
                f"as names of what is held out; rename them, or take them out to have a tenth of x_train instead"
            )

    def _split(self, found: Mapping[str, np.ndarray], name: str) -> Arrays:
        for key in (f"x_{name}", f"y_{name}"):
            if key not in found:
                raise UserError(f"found {', '.join(sorted(found))} in {self.path}; wanted {key} too; add it")
        x, y = found[f"x_{name}"], found[f"y_{name}"]
        if x.dtype.kind not in "biuf" or not x.ndim or not y.ndim:
            raise UserError(
                f"found x_{name} of type {x.dtype} and shape {x.shape}, y_{name} of shape {y.shape} in {self.path}; "
                f"wanted numbers with an example a row; change them"
            )
        if len(x) != len(y) or not len(y):
            raise UserError(
                f"found {len(x)} rows in x_{name} and {len(y)} in y_{name} of {self.path}; wanted the same number of "
                f"each, at least one; mend them"
            )
        y = self._labels(y, name)
        if x.dtype != np.uint8:
            x = x.astype(np.float32, copy=False)
            if not np.isfinite(x).all():
                raise UserError(f"found x_{name} with numbers that are not finite in {self.path}; mend them")
        return Arrays(self._channels_first(x), y)

    def _labels(self, y: np.ndarray, name: str) -> np.ndarray:
        """Return the labels of a split, (n,) int64; UserError if they are no classes counted from 0."""
        if not np.issubdtype(y.dtype, np.integer) or y.ndim != 1:
            raise UserError(
                f"found y_{name} of type {y.dtype} and shape {y.shape} in {self.path}; wanted whole numbers from 0, "
                f"one an example; write numpy.unique(y, return_inverse=True)[1] for labels that are names or floats, "
                f"or take data=npz_regression for targets"
            )
        check_labels(y, f"y_{name}", self.path, classes=self.classes)  # before the lacking splits are dealt by class
        return y.astype(np.int64)

    def _channels_first(self, x: np.ndarray) -> np.ndarray:
        if self.image_size is None:
            return x
        size, channels = self.image_size, self.channels
        if x.shape[1:] == (size, size) and channels == 1:
            return x[:, None]
        if x.shape[1:] == (size, size, channels) and x.shape[1:] != self.shape:
            return np.ascontiguousarray(x.transpose(0, 3, 1, 2))
        return x

    def _check_hash(self) -> None:
        if self.sha256 is None:
            return
        found = hashlib.sha256(self.path.read_bytes()).hexdigest()
        if not found.startswith(self.sha256.lower()):
            raise UserError(
                f"found {self.path} with SHA-256 {found[:12]}…; wanted data.sha256={self.sha256[:12]}…; "
                f"take the file that was meant"
            )


def _arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        found = np.load(path, allow_pickle=False)
        if isinstance(found, np.ndarray):
            raise UserError(
                f"found one bare array in {path}; wanted an .npz file of x_train and y_train; write it with "
                f"numpy.savez(file, x_train=…, y_train=…)"
            )
        with found as file:
            return {key: file[key] for key in file.files}
    except UserError:
        raise
    except BROKEN as error:
        if "Object arrays" in str(error):
            raise UserError(
                f"found {path}, which is no .npz file of plain arrays but has one of Python objects; wanted numbers; "
                f"convert it, as labels that are names by numpy.unique(y, return_inverse=True)[1]"
            ) from error
        raise UserError(
            f"found {path}, which is no .npz file of plain arrays; wanted one; write it with numpy.savez"
        ) from error
