"""Data of users that is not as a run can use it is told in one sentence, before a step is taken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from scaling.config import read_config
from scaling.data.base import Arrays, DataSet, Splits, Stream
from scaling.data.finite import FiniteSet, Whole
from scaling.data.made import MadeSet
from scaling.errors import UserError
from scaling.folders import RunFolder
from scaling.plan.planned import plan_run
from scaling.train.feed.run_data import load_splits
from scaling.train.run import train_run

CONFIG = {
    "model": {"_target_": "scaling.models.mlp.MLP", "width": 4, "depth": 1},
    "optim": {"_target_": "scaling.optim.sgd.SGD", "lr": 0.1},
    "schedule": {"_target_": "scaling.schedules.constant.Constant"},
    "augment": {"_target_": "scaling.augment.none.Unchanged"},
    "train": {"batch": 4, "steps": 2},
}


def config(kind: type, **keys: Any) -> Any:
    return read_config({**CONFIG, "data": {"_target_": f"{__name__}.{kind.__name__}", **keys}})


@dataclass(frozen=True, kw_only=True)
class Mine(MadeSet):
    """Made by a user, with something amiss."""

    name: ClassVar[str] = "mine"
    n_test: ClassVar[int] = 40
    n_validation: ClassVar[int] = 40
    classes: int = 3
    amiss: str = ""

    @property
    def shape(self) -> tuple[int, ...]:
        return (2,)

    def draw(self, n: int, rng: np.random.Generator) -> Arrays:
        x, y = rng.standard_normal((n, 2), dtype=np.float32), rng.integers(3, size=n)
        changed: dict[str, tuple[Any, Any]] = {
            "": (x, y),
            "labels from 1": (x, y + 1),
            "labels from -1": (x, y - 1),
            "labels as floats": (x, y.astype(np.float32)),
            "words": (x.astype(str), y),
            "too long": (np.c_[x, x], y),
            "too few": (x[1:], y),
            "not finite": (np.where(x > 0, x, np.nan), y),
            "all the same": (np.ones_like(x), y),
            "lists": (x.tolist(), y.tolist()),
        }
        return Arrays(*changed[self.amiss])


@dataclass(frozen=True, kw_only=True)
class Read(FiniteSet):
    """The same, read."""

    name: ClassVar[str] = "read"
    classes: int = 3
    examples: int = 300
    amiss: str = ""

    @property
    def shape(self) -> tuple[int, ...]:
        return (2,)

    def read(self) -> Whole:
        parts = [Mine(amiss=self.amiss).draw(n, np.random.default_rng(n)) for n in (300, 50, 40)]
        return Whole(*parts, mean=(0.0,), std=(1.0,))


@dataclass(frozen=True, kw_only=True)
class Own(DataSet):
    """The same, with a `load` of its own."""

    name: ClassVar[str] = "own"
    classes: int = 3
    amiss: str = ""

    @property
    def shape(self) -> tuple[int, ...]:
        return (2,)

    def load(self, D_unique: int | None, *, stream_seed: int = 0) -> Splits:
        made = replace(Mine(), amiss="" if self.amiss == "labels from 1" else self.amiss)
        parts = [made.draw(n, np.random.default_rng(n)) for n in (D_unique or 1, 50, 40)]
        if self.amiss == "labels from 1":
            parts[2] = Arrays(parts[2].x, parts[2].y + 1)
        return Splits(*parts, chance=1.0, chance_se=0.0)


SENTENCES = {
    "labels from 1": r"labels from 1 to 3 in \w+; wanted 0 to 2; count the labels from 0",
    "labels from -1": r"labels from -1 to 1 in \w+; wanted whole numbers from 0",
    "labels as floats": r"labels of type float32 .* wanted one whole number an example",
    "words": r"examples of type <U\d+ .* wanted numbers",
    "too long": r"shape \(4,\) in \w+; wanted the declared \(2,\)",
    "lists": r"found a list in the \w+ split of \w+; wanted NumPy arrays",
    "too few": r"examples and \d+ labels .* the same number of each",
}


@pytest.mark.parametrize(
    ("moments", "said"),
    [
        ({"mean": (0.0,), "std": (0.0,)}, "positive deviations"),
        ({"mean": (0.0, 0.0, 0.0), "std": (1.0,)}, "or one for each of its 2"),
    ],
)
def test_what_cannot_normalise_is_named(monkeypatch, moments, said) -> None:
    monkeypatch.setattr(Read, "read", lambda data: replace(WHOLE, **moments))
    with pytest.raises(UserError, match=said):
        Read().load(None)


def test_what_reads_needs_no_source_and_gives_its_splits_as_a_whole(monkeypatch) -> None:
    assert Read().source().ready
    assert Read().digest() == ""
    monkeypatch.setattr(Read, "read", lambda data: (WHOLE.train, WHOLE.validation, WHOLE.test))
    with pytest.raises(UserError, match=r"found a tuple from Read.read; wanted scaling.data.finite.Whole"):
        Read().load(None)


def test_a_subset_of_more_than_there_is_is_refused() -> None:
    with pytest.raises(UserError, match=r"found 300 training examples in read; wanted data.size=301; lower it"):
        Read(examples=None).load(301)  # a set that does not declare its number


WHOLE = Read().read()


@pytest.mark.parametrize("kind", [Mine, Read])
def test_numbers_that_are_not_finite_are_no_divergence(kind: type) -> None:
    with pytest.raises(
        UserError, match=r"found \w+ examples of \w+ that are not finite; wanted numbers; mend the data"
    ):
        load_splits(config(kind, amiss="not finite"), 60)


@pytest.mark.parametrize("size", [None, 60])
def test_draws_that_are_all_the_same_are_refused(size: int | None) -> None:
    with pytest.raises(UserError, match="found examples of mine that are all the same"):
        load_splits(config(Mine, amiss="all the same", size=size), size)


KEPT = np.random.default_rng(0).standard_normal((100, 2)).astype(np.float32)


@dataclass(frozen=True, kw_only=True)
class Careless(Own):
    """Loads what it likes."""

    how: str = ""

    def load(self, D_unique: int | None, *, stream_seed: int = 0) -> Splits:
        splits = super().load(D_unique, stream_seed=stream_seed)
        fresh = np.random.default_rng().standard_normal((40, 2)).astype(np.float32)
        train = Mine().draw(70, np.random.default_rng(0))
        changed: dict[str, Callable[[], Splits]] = {
            "unseeded": lambda: replace(splits, test=Arrays(fresh, splits.test.y)),
            "in place": lambda: replace(splits, test=Arrays(np.multiply(KEPT, 2, out=KEPT)[:40], splits.test.y)),
            "fresh, unseeded": lambda: replace(splits, train=Stream(lambda i: Arrays(fresh, splits.test.y), chunk=40)),
            "fresh": lambda: replace(splits, train=Stream(lambda i: Arrays(KEPT[:40], splits.test.y), chunk=40)),
            "all": lambda: replace(splits, train=train),
            "not finite": lambda: replace(splits, test=Arrays(splits.test.x * np.nan, splits.test.y)),
        }
        return changed[self.how]()


@pytest.mark.parametrize(
    ("how", "size", "said"),
    [
        ("unseeded", 60, "found other examples each time that own is read"),
        ("in place", 60, "found other examples each time that own is read"),
        ("fresh, unseeded", None, "found other examples each time that own is read"),
        ("fresh", 60, "found a Stream that own loads; wanted 60 examples"),
        ("all", None, "found no Stream that own loads"),
        ("all", 60, "found 70 examples that own drew; wanted the 60"),
        ("not finite", 60, "found test examples of own that are not finite"),
    ],
)
def test_a_load_of_one_s_own_is_what_was_asked_for_each_time(how: str, size: int | None, said: str) -> None:
    for _ in range(2):
        with pytest.raises(UserError, match=said):
            load_splits(config(Careless, how=how), size)


@dataclass(frozen=True, kw_only=True)
class Shuffled(Read):
    """Splits at random."""

    def read(self) -> Whole:
        whole = super().read()
        order = np.random.default_rng().permutation(300)
        return replace(whole, train=whole.train.picked(order))


def test_a_file_that_is_split_at_random_is_refused() -> None:
    with pytest.raises(UserError, match="found other examples each time that read is read; wanted the same: draw"):
        load_splits(config(Shuffled), 60)


@dataclass(frozen=True, kw_only=True)
class Rejecting(Mine):
    """Draws, and throws some away."""

    def draw(self, n: int, rng: np.random.Generator) -> Arrays:
        drawn = super().draw(n, rng)
        return drawn.part(0, 2 * n // 3)


@pytest.mark.parametrize("size", [None, 60])
def test_examples_that_are_missing_from_a_draw_are_told(size: int | None) -> None:
    with pytest.raises(UserError, match=r"examples that mine drew; wanted the [\d,]+ that it was asked for"):
        load_splits(config(Rejecting), size)


@dataclass(frozen=True, kw_only=True)
class Binary(Mine):
    """Declares three classes, and draws two."""

    chunk: ClassVar[int] = 64

    def draw(self, n: int, rng: np.random.Generator) -> Arrays:
        drawn = super().draw(n, rng)
        return Arrays(drawn.x, drawn.y % 2)


def test_a_class_that_is_never_drawn_is_told_where_it_was_waited_for_without_end() -> None:
    with pytest.raises(
        UserError, match=r"found no example of class 2 among 2,048 that mine drew; wanted each of its 3"
    ):
        load_splits(config(Binary), 60)


@pytest.mark.parametrize("kind", [Mine, Read, Own])
@pytest.mark.parametrize("amiss", SENTENCES)
def test_what_is_amiss_is_one_sentence(kind: type, amiss: str) -> None:
    with pytest.raises(UserError, match=SENTENCES[amiss]):
        load_splits(config(kind, amiss=amiss), 60)


@pytest.mark.parametrize("amiss", SENTENCES)
def test_so_it_is_for_fresh_examples(amiss: str) -> None:
    with pytest.raises(UserError, match=SENTENCES[amiss]):
        load_splits(config(Mine, amiss=amiss), None)


@dataclass(frozen=True, kw_only=True)
class Typed(Mine):
    """Numbers of whichever type, which a run converts."""

    name: ClassVar[str] = "typed"
    x: str
    y: str

    def draw(self, n: int, rng: np.random.Generator) -> Arrays:
        made = super().draw(n, rng)
        x = np.maximum(10 * made.x, 0) if self.x == "bool" else 10 * made.x  # else nearly all would be True
        return Arrays(x.astype(self.x), made.y.astype(self.y))


@pytest.mark.parametrize("size", [None, 60])
@pytest.mark.parametrize(
    "types",
    [
        ("int64", "int64"),
        ("int16", "int32"),
        ("float64", "uint8"),
        ("bool", "int8"),
        ("uint16", "int16"),
        (">f8", ">i8"),
    ],
)
def test_numbers_of_any_type_are_trained_on(types: tuple[str, str], size: int | None, tmp_path: Path) -> None:
    run = plan_run(config(Typed, x=types[0], y=types[1], size=size), overrides={})
    assert train_run(run, RunFolder(tmp_path / "runs" / run.run_id), device="cpu").status == "finished"


@pytest.mark.parametrize("kind", [np.int32, np.uint8, bool, np.float64])
def test_features_of_any_type_in_a_file(kind: type, tmp_path: Path) -> None:
    x = np.random.default_rng(0).integers(0, 2, (60, 5)).astype(kind)
    np.savez(tmp_path / "mine.npz", x_train=x, y_train=(np.arange(60) % 3).astype(np.int16))
    keys = {"file": "mine.npz", "root": str(tmp_path), "classes": 3, "features": 5, "examples": 48}
    run = plan_run(read_config({**CONFIG, "data": {"_target_": "scaling.data.npz.Npz", **keys}}), overrides={})
    assert train_run(run, RunFolder(tmp_path / "runs" / run.run_id), device="cpu").status == "finished"


@dataclass(frozen=True, kw_only=True)
class Listed(Mine):
    """A key that can be changed."""

    noises: list[float] = field(default_factory=list)


@dataclass(kw_only=True)
class Thawed:
    """No frozen dataclass."""

    load: str = ""


@dataclass(frozen=True, kw_only=True)
class Shapeless(Mine):
    """A shape that is a list."""

    @property
    def shape(self) -> Any:
        return [2]


def test_what_cannot_be_remembered_is_refused_when_it_is_planned() -> None:
    with pytest.raises(UserError, match=r"found data\.noises of type list; .* declare it as a tuple in .*\.Listed"):
        config(Listed, noises=[1.0])
    with pytest.raises(UserError, match=r"found .*\.Thawed, which can be changed; wanted a frozen dataclass"):
        config(Thawed)
    with pytest.raises(UserError, match=r"found \[2\] as the shape of data=mine; wanted a tuple"):
        plan_run(config(Shapeless), overrides={})
