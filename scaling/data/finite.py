"""Finite data sets: read and split once, with subsets in one seeded order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from itertools import pairwise

import numpy as np

from scaling.data.base import SPLITS, Arrays, DataSet, Picked, Published, Source, Splits
from scaling.data.chance import constant_predictor, mean_and_error
from scaling.data.check import check_different, check_finite, check_held_out, check_moments, check_scaled, checked
from scaling.data.mapped_rows import mapping_of
from scaling.data.memory import MEMORY, stays_in_file
from scaling.data.read_again import read_twice
from scaling.data.seeds import streams_of
from scaling.data.subset import subset_order
from scaling.errors import UserError
from scaling.security.modules import is_shipped

SPLIT_SEED = 0  # of held-out splits made here; it never changes, so that they are the same for every run


@dataclass(frozen=True)
class Whole:
    """All of a data set: its splits, mean and deviation of the training split per channel, and facts for the record.

    ordered: the seed if the training examples are in the subset order of a seed already, otherwise None; digest: of the
    files that the examples were read from.
    """

    train: Arrays
    validation: Arrays
    test: Arrays
    mean: tuple[float, ...]
    std: tuple[float, ...]
    facts: Mapping[str, object] = field(default_factory=dict)
    ordered: int | None = None
    published: Published | None = None
    digest: str = ""


@dataclass(frozen=True, kw_only=True)
class FiniteSet(DataSet):
    """A data set that is read; subclasses define `read`."""

    def read(self) -> Whole:
        """Read all of it; UserError says what is missing and what to do."""
        raise TypeError(f"{type(self).__name__} reads nothing")

    def source(self) -> Source:
        """Return that nothing is known to be missing: `read` says what is."""
        return Source(ready=True, where=f"what {type(self).__name__} reads")

    def _read_seeded(self) -> Whole:
        with streams_of(self.name, "read"):
            return self.read()

    def load(self, D_unique: int | None, *, stream_seed: int = 0) -> Splits:
        """Return the splits, with the first `D_unique` training examples (None: all) in the order of `data.seed`."""
        unsized = replace(self, size=None)
        whole, (chance, chance_se) = MEMORY.get(unsized, "whole", unsized.read_ordered)
        size = len(whole.train) if D_unique is None else D_unique
        if size > len(whole.train):
            raise UserError(
                f"found {len(whole.train):,} training examples in {self.name}; wanted data.size={size}; lower it"
            )
        return Splits(
            train=self._first(whole, size),
            validation=whole.validation,
            test=whole.test,
            chance=chance,
            chance_se=chance_se,
            mean=whole.mean,
            std=whole.std,
            facts=dict(whole.facts),
            published=whole.published,
            digest=whole.digest,
        )

    def _chance(self, whole: Whole) -> tuple[float, float | None]:
        """Return the loss of the constant predictor on the test set, and its standard error."""
        if self.metric == "cross_entropy":
            return constant_predictor(np.bincount(whole.train.y, minlength=self.classes), whole.test.y)
        return mean_and_error((whole.test.y.astype(np.float64) - whole.train.y.mean(dtype=np.float64)) ** 2)

    def _first(self, whole: Whole, size: int) -> Arrays | Picked:
        if whole.ordered == self.seed:
            return whole.train.part(0, size)
        group = (replace(self, size=None), "subset")

        def take() -> Arrays | Picked:
            rows, x = subset_order(whole.train.y, seed=self.seed, size=size), whole.train.x
            if stays_in_file(x[:size]):
                return Picked(x, rows, whole.train.y[rows])
            return whole.train.picked(rows)

        return MEMORY.get(group, size, take)

    def read_ordered(self) -> tuple[Whole, tuple[float, float | None]]:
        """Read all of it, and its chance; training examples that are not mapped are put into the order of `seed`.

        So subsets are parts of one array, without copies.
        """
        whole = self.read_checked()
        chance = self._chance(whole)
        if whole.ordered != self.seed and mapping_of(whole.train.x) is None:
            train = whole.train.picked(subset_order(whole.train.y, seed=self.seed))
            whole = replace(whole, train=train, ordered=self.seed)
        return whole, chance

    def read_checked(self) -> Whole:
        """Read all of it; UserError if a split is not as declared."""
        digest = self.digest()  # before reading, so that later changes are detected
        whole = self._read_seeded() if is_shipped(type(self)) else read_twice(self.name, self._read_seeded)
        if not isinstance(whole, Whole):
            raise UserError(
                f"found a {type(whole).__name__} from {type(self).__name__}.read; wanted scaling.data.finite.Whole, "
                f"with train, validation, test, mean and std; change it"
            )
        train, validation, test = splits = [checked(self, split, getattr(whole, split)) for split in SPLITS]
        whole = replace(whole, train=train, validation=validation, test=test, digest=digest)
        check_moments(self, whole.mean, whole.std)
        for split, arrays in zip(SPLITS, splits, strict=True):
            if not stays_in_file(arrays.x):  # of a mapped file only what is trained on is read
                check_finite(self, split, arrays)
        if self.metric == "squared_error":
            check_scaled(self, whole.train.y)
        if self.metric == "cross_entropy":
            self._check_classes(whole)
        if self.examples is not None and len(whole.train) != self.examples:
            raise UserError(
                f"found {len(whole.train)} training examples in {self.name}; wanted the {self.examples} declared in "
                f"data.examples; set data.examples={len(whole.train)}"
            )
        check_different(self, train.x)
        if not is_shipped(type(self)) and not stays_in_file(train.x):
            for split, held in (("validation", validation), ("test", test)):
                check_held_out(self.name, split, held.x, train.x)
        return whole

    def _check_classes(self, whole: Whole) -> None:
        """Raise UserError if all training labels are equal, or all labels lower than those of the declared classes."""
        labels = whole.train.y
        if self.classes > 1 and (labels == labels[0]).all():
            raise UserError(f"found {self.name}, whose training labels are all {labels[0]}; wanted several; mend them")
        is_set_by_config = any(each.name == "classes" and each.default is MISSING for each in fields(self))
        most = max(int(arrays.y.max()) for arrays in (whole.train, whole.validation, whole.test))
        if is_set_by_config and most + 1 < self.classes:
            raise UserError(
                f"found labels up to {most} in {self.name}; wanted those of the {self.classes} classes declared in "
                f"data.classes, counted from 0; set data.classes={most + 1}"
            )


def dealt(arrays: Arrays, *sizes: int, seed: int) -> list[Arrays]:
    """Split examples class-proportionally into parts of the given sizes and the rest."""
    order = subset_order(arrays.y, seed=seed)
    ends = np.cumsum([0, *sizes])
    cuts = [*pairwise(ends), (ends[-1], len(order))]
    return [arrays.picked(np.sort(order[a:b])) for a, b in cuts]
