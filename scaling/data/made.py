"""Generated data sets: any number of examples, the same on every machine."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from itertools import count
from typing import ClassVar, TypeVar

import numpy as np

from scaling.config import part
from scaling.data.base import Arrays, DataSet, Source, Splits, Stream
from scaling.data.chance import constant_predictor, mean_and_error
from scaling.data.check import check_different, check_finite, check_number, check_order, check_scaled, checked
from scaling.data.memory import MEMORY
from scaling.data.seeds import generator, streams_of
from scaling.data.subset import class_sequence
from scaling.errors import UserError
from scaling.security.modules import is_shipped

T = TypeVar("T")
FEWEST, ROUNDED = 1 << 14, 1 << 20  # the fixed order is made in powers of two of examples between these, then exactly
IDLE_PARTS = 32  # chunks in a row without an example of a missing class, after which it is taken for never drawn
UNEQUAL = 5.0  # standard deviations of a class's count beyond which classes are not equally frequent
TRIED = 64  # examples that are drawn to see whether they follow from their generator


@dataclass(frozen=True, kw_only=True)
class MadeSet(DataSet):
    """Data drawn from a distribution; subclasses define `draw`.

    Without a size, training examples are drawn fresh without end, seeded by `data.seed` and the run's seed. With one,
    they are the first of one fixed order, nested and class-proportional. Validation and test sets do not depend on a
    run's seed.
    """

    examples: None = part(None, identity=False)

    n_validation: ClassVar[int] = 8_192
    n_test: ClassVar[int] = 16_384
    chunk: ClassVar[int] = 16_384
    row_by_row: ClassVar[bool] = False  # whether `draw(n)` gives the first n of `draw(m)`, m > n

    @property
    def task_seed(self) -> int:
        """The seed of the validation and test sets: `data.seed` where that makes another task."""
        return 0

    def draw(self, n: int, rng: np.random.Generator) -> Arrays:
        """Draw `n` independent examples."""
        raise TypeError(f"{type(self).__name__} draws nothing")

    def source(self) -> Source:
        """Return that nothing is needed."""
        return Source(ready=True, where="made in memory")

    def load(self, D_unique: int | None, *, stream_seed: int = 0) -> Splits:
        """Make the splits: `D_unique` training examples, or a Stream seeded by `stream_seed` if it is None."""
        if not self._thread_safe:
            self.remember("tried", "draws", self._check_draws)
            if D_unique is None or self.metric == "squared_error":  # a subset takes its classes in an order of its own
                self.remember("tried", "order", self._check_order)
        train = self._stream(stream_seed) if D_unique is None else self._first(D_unique)
        return self.splits(train, self._held_out("validation", self.n_validation), self._held_out("test", self.n_test))

    def splits(self, train: Arrays | Stream, validation: Arrays, test: Arrays) -> Splits:
        """Return the splits with the known facts of the distribution."""
        if self.metric == "squared_error":
            check_scaled(self, validation.y)
            chance, chance_se = mean_and_error((test.y.astype(np.float64) - validation.y.mean(dtype=np.float64)) ** 2)
        else:
            chance, chance_se = constant_predictor(self._class_counts(), test.y)
        return Splits(train, validation, test, chance=chance, chance_se=chance_se)

    def _class_counts(self) -> np.ndarray:
        """Return whole numbers in proportion to the frequencies of the classes: ones, unless a user's draw differs."""
        equal = np.ones(self.classes, dtype=np.int64)
        if is_shipped(type(self)):
            return equal
        labels = self._held_out("validation", self.n_validation).y
        counts, expected = np.bincount(labels, minlength=self.classes), len(labels) / self.classes
        return equal if np.abs(counts - expected).max() < UNEQUAL * expected**0.5 else counts

    def _held_out(self, split: str, n: int) -> Arrays:
        return self.remember("held out", split, lambda: self._part(n, split, self.task_seed))

    def _stream(self, seed: int) -> Stream:
        def draw(i: int) -> Arrays:
            return self.remember(("stream", seed), i, lambda: self._part(self.chunk, "stream", self.seed, seed, i))

        def begin(n: int) -> Arrays:
            rows = min(self.chunk, 1 << (n - 1).bit_length())
            return self.remember(
                ("stream", seed), ("begin", rows), lambda: self._part(rows, "stream", self.seed, seed, 0)
            )

        return Stream(
            draw=draw, chunk=self.chunk, begin=begin if self.row_by_row else None, thread_safe=self._thread_safe
        )

    def _first(self, n: int) -> Arrays:
        """Return the first `n` examples of the fixed order."""
        made = n if n > ROUNDED else max(FEWEST, 1 << (n - 1).bit_length())
        order = self.remember("order", made, lambda: self.ordered(made))
        return Arrays(order.x[:n], order.y[:n])

    def ordered(self, n: int) -> Arrays:
        """Draw examples until each position of the fixed order has one of its class."""
        if self.metric == "squared_error":
            x, y = _joined([self.order_part(self.chunk, i) for i in range(-(-n // self.chunk))])
            return Arrays(x[:n], y[:n])
        sequence = class_sequence(self._class_counts(), n, seed=self.seed)
        missing = np.bincount(sequence, minlength=self.classes)
        taken: list[Arrays] = []
        idle = 0  # parts in a row that had no example of a missing class
        for i in count():
            if not missing.any():
                break
            part = self.order_part(self.chunk, i)
            rows = _wanted(part.y, missing)
            missing -= np.bincount(part.y[rows], minlength=self.classes)
            taken.append(Arrays(part.x[rows], part.y[rows]))
            idle = 0 if len(rows) else idle + 1
            if idle == IDLE_PARTS:
                raise UserError(
                    f"found no example of class {int(np.argmax(missing))} among {idle * self.chunk:,} that {self.name} "
                    f"drew; wanted each of its {self.classes} classes; mend its draw"
                )
        x, y = _joined(taken)
        rows = np.empty(n, dtype=np.int64)
        rows[np.argsort(sequence, kind="stable")] = np.argsort(y, kind="stable")
        return Arrays(x[rows], y[rows])

    def order_part(self, n: int, i: int) -> Arrays:
        """Draw the i-th `n` examples for the fixed order."""
        return self._part(n, "order", self.seed, i)

    @property
    def _thread_safe(self) -> bool:
        """Whether nothing is drawn from global random streams, which is known only for the shipped sets."""
        return is_shipped(type(self))

    def _check_draws(self) -> bool:
        """Raise UserError if a few examples do not follow from the generator that `draw` is given."""
        first, again, other = (self._part(TRIED, "tried", i) for i in (0, 0, 1))
        if not _equal(first, again):
            raise UserError(
                f"found other examples each time that {self.name} draws from the same generator; wanted the same; draw "
                f"all from `rng`, or from NumPy's, Python's and torch's global generators, and keep none of your own"
            )
        if _equal(first, other):
            raise UserError(
                f"found the same {TRIED} examples from every generator that {self.name} is given, so that it is tested "
                f"on what it has learnt; wanted others; draw them from `rng`"
            )
        return True

    def _check_order(self) -> bool:
        check_order(self, self._part(min(TRIED, self.chunk), "tried", 0).y)  # it draws no more at a time
        return True

    def _part(self, n: int, *purpose: str | int) -> Arrays:
        if self._thread_safe:
            return checked(self, "drawn", self.draw(n, generator(self.name, *purpose)))
        with streams_of(self.name, *purpose):
            found = checked(self, "drawn", self.draw(n, generator(self.name, *purpose)))
        check_number(self, found, n)
        check_finite(self, "drawn", found)
        if n >= TRIED:  # a few may be equal by chance
            check_different(self, found.x)
        return found

    def remember(self, group: Hashable, key: Hashable, make: Callable[[], T]) -> T:
        """Return the value of `make`, which is called once in this process as long as memory allows."""
        return MEMORY.get((replace(self, size=None), group), key, make)


def _wanted(labels: np.ndarray, missing: np.ndarray) -> np.ndarray:
    """Return the rows, ascending, that hold the first `missing` examples of each class."""
    drawn = np.argsort(labels, kind="stable")
    counts = np.bincount(labels, minlength=len(missing))
    rank = np.arange(len(labels)) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.sort(drawn[rank < missing[labels[drawn]]])


def _equal(one: Arrays, other: Arrays) -> bool:
    return np.array_equal(one.x, other.x) and np.array_equal(one.y, other.y)


def _joined(parts: list[Arrays]) -> tuple[np.ndarray, np.ndarray]:
    return np.concatenate([part.x for part in parts]), np.concatenate([part.y for part in parts])
