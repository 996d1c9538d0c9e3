"""Data sets: their declared sizes, with which runs are planned without the data, and their splits."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from scaling.config import part
from scaling.content.digest import digest_of, joined
from scaling.data.mapped_rows import copied_rows

Metric = Literal["cross_entropy", "squared_error"]
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Arrays:
    """Examples in memory: `x` (n, *shape) uint8 or float32; `y` (n,) int64 class indices or float32 targets."""

    x: np.ndarray
    y: np.ndarray

    def __len__(self) -> int:
        return len(self.y)

    def part(self, start: int, stop: int) -> Arrays:
        """Return the examples from `start` up to `stop`."""
        return Arrays(self.x[start:stop], self.y[start:stop])

    def picked(self, places: np.ndarray) -> Arrays:
        """Return the examples at some places."""
        return Arrays(copied_rows(self.x, places), self.y[places])


@dataclass(frozen=True)
class Picked:
    """Examples of a file that is too large to be copied: the i-th is row `rows[i]` of `file`, with label `y[i]`."""

    file: np.ndarray
    rows: np.ndarray
    y: np.ndarray

    def __len__(self) -> int:
        return len(self.y)

    def part(self, start: int, stop: int) -> Arrays:
        """Return copies of the examples from `start` up to `stop`."""
        return Arrays(copied_rows(self.file, self.rows[start:stop]), self.y[start:stop])

    def picked(self, places: np.ndarray) -> Arrays:
        """Return copies of the examples at some places."""
        return Arrays(copied_rows(self.file, self.rows[places]), self.y[places])


@dataclass(frozen=True)
class Stream:
    """Fresh examples without end.

    draw: returns the i-th chunk of `chunk` examples, always the same; begin: returns at least the first n examples
    of the first chunk, where that is less work than all of it; thread_safe: it draws from no global random stream, so
    that a thread may draw the next chunk.
    """

    draw: Callable[[int], Arrays]
    chunk: int
    begin: Callable[[int], Arrays] | None = None
    thread_safe: bool = False

    def first(self, n: int) -> Arrays:
        """Return at least the first `n` examples of the first chunk, or all of it."""
        return self.draw(0) if self.begin is None or n >= self.chunk else self.begin(n)


@dataclass(frozen=True)
class Published:
    """Which examples of a published set the test examples are.

    `places` (n_test,) int64: their positions, from 0, in the order of the file names of all `total` examples of it.
    """

    places: np.ndarray
    total: int


@dataclass(frozen=True)
class Source:
    """Where a data set is, or was looked for, on this machine; advice: what to do if it is not ready."""

    ready: bool
    where: str
    advice: str = ""


@dataclass(frozen=True)
class Splits:
    """A data set ready to train on.

    train: exactly the requested subset, in subset order, or a Stream of fresh examples; mean, std: per channel (or
    scalar), in units of x as stored, for normalisation; chance, chance_se: the loss of the constant predictor on the
    test set and its standard error (None for a single example); population_loss: for data whose expected loss has a
    closed form, a function of the model's weight vector; facts: further facts of the data for the record; published:
    known for images that were files with names; digest: DataSet.digest() when this process read the data, None if it
    was read or made for this run.
    """

    train: Arrays | Picked | Stream
    validation: Arrays
    test: Arrays
    chance: float
    chance_se: float | None
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    population_loss: Callable[[np.ndarray], float] | None = None
    facts: dict[str, object] = field(default_factory=dict)
    published: Published | None = None
    digest: str | None = None


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """The keys that every data set declares in its YAML; subclasses add their own keys and `load`.

    size: D_unique, None for all examples (or unlimited fresh ones, if the set has no end); seed: of the subset and, for
    generated data, of the examples; version: to be raised when the same keys give other examples;
    examples: number of training examples, None for a set without end;
    n_test, n_validation: sizes of the held-out splits, used in forecasts of time and disk space.
    """

    name: ClassVar[str]
    metric: ClassVar[Metric] = "cross_entropy"
    n_test: ClassVar[int] = 5_000
    n_validation: ClassVar[int] = 5_000

    size: int | None = None
    seed: int = 0
    version: int = 1
    classes: int
    examples: int | None = part(None, identity=False)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one example, channels first for images: (channels, height, width) or (features,)."""
        raise TypeError(f"{type(self).__name__} declares no shape")

    @property
    def outputs(self) -> int:
        """Number of a model's outputs for one example: the classes, or 1 for regression."""
        return self.classes

    @property
    def draw_work(self) -> float:
        """The work of making a fresh example, in any unit: forecasts compare it with that of the default settings."""
        return 1.0

    @property
    def has_error(self) -> bool:
        """Whether there is a classification error in addition to the loss."""
        return self.metric == "cross_entropy"

    def load(self, D_unique: int | None, *, stream_seed: int = 0) -> Splits:
        """Read or make the data: `D_unique` training examples, or a Stream seeded by `stream_seed` if it is None."""
        raise TypeError(f"{type(self).__name__} cannot be loaded")

    def source(self) -> Source:
        """Return where the data is on this machine, or how to get it; cheap, without reading examples."""
        raise TypeError(f"{type(self).__name__} has no source")

    def digest(self) -> str:
        """Return the digest of the files that it is read from, "" if it is generated, or not on this machine.

        The files are those that `source` and the keys name. Cheap: a file is read once, then recognised by its times.
        """
        try:
            return joined(digest_of(path) for path in self.read_from())
        except OSError:
            return ""

    def read_from(self) -> list[Path]:
        """Return the files and folders on this machine from which the data is read."""
        try:
            source = [self.source().where]
        except (TypeError, ValueError):  # a set without a source
            source = []
        root = Path(str(getattr(self, "root", None) or ".")).expanduser()
        keys = [value for f in fields(self) if isinstance(value := getattr(self, f.name), str) and value]
        named = [path for key in keys if _exists(path := root / Path(key).expanduser())]
        found = [Path(where) for where in source if _exists(Path(where))]
        return list(dict.fromkeys([*found, *(path for path in named if path.is_file())]))


def data_folder(name: str, root: str | None) -> Path:
    """Return the folder of a data set: `data.root` if given, else NAME in $SCALING_DATA or, without that, in ./data."""
    if root is not None:
        return Path(root).expanduser()
    return Path(os.environ.get("SCALING_DATA", "data")).expanduser() / name


def _exists(path: Path) -> bool:
    """Return whether a path exists; False if it is not a valid path."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False
