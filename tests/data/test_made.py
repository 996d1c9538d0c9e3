from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from scaling.data.base import Arrays, Metric, Splits, Stream
from scaling.data.linear_teacher import LinearTeacher
from scaling.data.made import MadeSet
from scaling.data.memory import MEMORY
from scaling.data.mnist1d import Mnist1d, sequences
from scaling.data.teacher import Teacher
from scaling.errors import UserError
from tests.default_cases import default_cases
from tests.forked import forked

MADE = [Teacher(), Mnist1d(), LinearTeacher(features=8)]
ids = [data.name for data in MADE]


def digest(splits: Splits) -> str:
    """Return a hash of training examples and test targets, too coarse to notice how a machine rounds."""
    assert isinstance(splits.train, Arrays)
    coarse = [np.rint(4 * part).astype(np.int64) for part in (splits.train.x, splits.train.y, splits.test.y)]
    return hashlib.sha256(b"".join(part.tobytes() for part in coarse)).hexdigest()[:16]


def drawn(splits: Splits, i: int) -> Arrays:
    assert isinstance(splits.train, Stream)
    return splits.train.draw(i)


PINNED = {"teacher": "0879616dd03a7108", "mnist1d": "a8828a414df1f8bb", "linear_teacher": "95013b3b24b3ea9c"}


@pytest.mark.parametrize("data", MADE, ids=ids)
def test_what_is_made_is_pinned(data: MadeSet) -> None:
    assert digest(data.load(1_000)) == PINNED[data.name]


@pytest.mark.parametrize("data", MADE, ids=ids)
def test_the_beginning_of_a_stream_is_that_of_its_first_chunk(data):
    stream = data.load(None, stream_seed=4).train
    assert isinstance(stream, Stream)
    for n in (1, 1_000, 3_000, stream.chunk, 3 * stream.chunk):
        begun, whole = stream.first(n), stream.draw(0)
        assert len(begun) >= min(n, stream.chunk)
        assert (begun.x == whole.x[: len(begun)]).all()
        assert (begun.y == whole.y[: len(begun)]).all()


@pytest.mark.slow
def test_another_process_makes_the_same(tmp_path: Path) -> None:
    assert forked(tmp_path, some).result() == some()


def some() -> tuple[str, int]:
    return digest(Teacher().load(1_000)), int(drawn(Teacher().load(None), 7).y.sum())


@pytest.mark.parametrize("data", MADE, ids=ids)
def test_shapes_and_types(data: MadeSet) -> None:
    splits = data.load(100)
    for part in (splits.train, splits.validation, splits.test, drawn(data.load(None), 0)):
        assert isinstance(part, Arrays)
        assert part.x.shape == (len(part), *data.shape)
        assert part.x.dtype == np.float32
        assert part.y.dtype == (np.float32 if data.metric == "squared_error" else np.int64)


@pytest.mark.parametrize(
    "data", default_cases(MADE, *(data for data in MADE if not isinstance(data, Mnist1d))), ids=ids
)
def test_subsets_are_nested_across_sizes_and_memory(data: MadeSet) -> None:
    small = data.load(700).train
    MEMORY.clear()
    large = data.load(20_000).train
    assert isinstance(small, Arrays)
    assert isinstance(large, Arrays)
    assert np.array_equal(small.x, large.x[:700])
    assert np.array_equal(small.y, large.y[:700])


@pytest.mark.parametrize("data", [Teacher(), Mnist1d(), Teacher(classes=7, width=16)], ids=["teacher", "mnist1d", "7"])
@pytest.mark.parametrize("size", default_cases([1, 93, 1_001, 17_000], 93))
def test_subsets_are_class_proportional(data: MadeSet, size: int) -> None:
    train = data.load(size).train
    assert isinstance(train, Arrays)
    counts = np.bincount(train.y, minlength=data.classes)
    assert len(train) == size
    assert np.abs(counts - size / data.classes).max() < 1


@pytest.mark.parametrize(
    "data", default_cases(MADE, *(data for data in MADE if not isinstance(data, Mnist1d))), ids=ids
)
def test_streams_are_fresh_for_each_seed_and_chunk_and_the_same_when_asked_again(data: MadeSet) -> None:
    first, other = data.load(None, stream_seed=0), data.load(None, stream_seed=1)
    chunks = [drawn(first, 0), drawn(first, 1), drawn(other, 0), first.test]
    MEMORY.clear()
    again = drawn(data.load(None, stream_seed=0), 0)
    assert np.array_equal(chunks[0].x, again.x)
    assert len({chunk.x[0].tobytes() for chunk in chunks}) == len(chunks)


@pytest.mark.parametrize("data", MADE, ids=ids)
def test_the_held_out_splits_know_no_runs_seed_and_share_nothing(data: MadeSet) -> None:
    one, two = data.load(50, stream_seed=0), data.load(None, stream_seed=9)
    for split in ("validation", "test"):
        assert np.array_equal(getattr(one, split).x, getattr(two, split).x)
    rows = {row.tobytes() for row in one.validation.x}
    assert not any(row.tobytes() in rows for row in one.test.x)


def test_another_data_seed_is_another_teacher_of_balanced_classes() -> None:
    for seed in (0, 1):
        teacher = Teacher(seed=seed)
        x = np.random.default_rng(5).standard_normal((4_000, 16)).astype(np.float32)
        counts = np.bincount(teacher.network().labels(x), minlength=10)
        assert np.abs(counts - 400).max() < 5 * 400**0.5
    assert (Teacher(seed=0).network().labels(x) != Teacher(seed=1).network().labels(x)).mean() > 0.5


def test_a_teacher_that_never_chooses_a_class_is_refused() -> None:
    with pytest.raises(UserError, match=r"hardly ever chooses .* raise data\.width"):
        Teacher(width=4, classes=10).load(10)


def test_chance_is_the_loss_of_even_odds() -> None:
    splits = Teacher().load(10)
    assert splits.chance == pytest.approx(np.log(10))
    assert splits.chance_se == pytest.approx(0, abs=1e-9)


class TestLinearTeacher:
    @pytest.mark.slow
    def test_population_loss_is_what_a_large_sample_shows(self) -> None:
        data = LinearTeacher(features=64)
        splits = data.load(400_000)
        train = splits.train
        assert isinstance(train, Arrays)
        assert splits.population_loss is not None
        for weights in (np.zeros(1), data.spectrum().theta[:5] * 1.2, data.spectrum().theta):
            errors = (train.x[:, : len(weights)] @ weights.astype(np.float32) - train.y) ** 2
            se = float(errors.std()) / len(errors) ** 0.5
            assert errors.mean() == pytest.approx(splits.population_loss(weights), abs=4 * se)

    def test_nothing_is_truncated(self) -> None:
        """However many features are handed out, Var(y) = 1 and the first 8 explain the same."""
        for features in (8, 100):
            loss = LinearTeacher(features=features).spectrum().population_loss
            assert loss(np.zeros(8)) == pytest.approx(1)
            assert loss(LinearTeacher(features=8).spectrum().theta) == pytest.approx(UNEXPLAINED_BY_8, rel=1e-4)

    def test_the_best_loss_falls_as_the_theory_says(self) -> None:
        spectrum = LinearTeacher(features=4_096).spectrum()
        widths = np.array([256, 512, 1_024, 2_048])
        losses = [spectrum.population_loss(spectrum.theta[:width]) for width in widths]
        slope = np.polyfit(np.log(widths), np.log(losses), 1)[0]
        assert slope == pytest.approx(-(1.75 - 1), rel=5e-3)

    def test_chance_is_the_variance(self) -> None:
        splits = LinearTeacher(features=8).load(10)
        assert splits.chance == 1
        assert abs((splits.test.y**2).mean() - 1) < 4 * splits.chance_se


UNEXPLAINED_BY_8 = 1 - sum(k**-1.75 for k in range(1, 9)) / 1.96232  # zeta(1.75) = 1.96232


class TestMnist1d:
    def test_declared_mean_and_deviation(self) -> None:
        data = Mnist1d()
        splits = data.load(None)
        x = np.concatenate([drawn(splits, i).x for i in range(4)])
        assert x.mean() == pytest.approx(splits.mean[0], abs=2e-3)
        assert x.std() == pytest.approx(splits.std[0], rel=1e-2)

    def test_a_sequence_follows_the_published_recipe(self) -> None:
        """Mean and covariance of each class agree with the recipe written out for one example at a time."""
        rng = np.random.default_rng(0)
        for digit in (1, 7):
            slow = np.array([one_by_one(digit, rng) for _ in range(1_500)])
            fast = sequences(np.full(20_000, digit), rng)
            se = fast.std(axis=0) / 1_500**0.5
            assert (np.abs(slow.mean(axis=0) - fast.mean(axis=0)) < 5 * se).all()
            assert np.abs(np.cov(slow.T) - np.cov(fast.T)).max() < 0.1 * fast.var(axis=0).max()


def one_by_one(digit: int, rng: np.random.Generator) -> np.ndarray:
    """Distort one template, step by step as the paper lists them."""
    from scipy.ndimage import gaussian_filter1d

    from scaling.data.mnist1d import templates

    def stretched(values: np.ndarray, length: int) -> np.ndarray:
        return np.interp(np.linspace(0, 1, length), np.linspace(0, 1, len(values)), values)

    tiny = 1e-8  # tells the signal from its padding
    x = np.concatenate([templates()[digit, :12] + tiny, np.zeros(rng.integers(36, 61))])
    x = stretched(x, 72) * (1 + 0.4 * (rng.random() - 0.5))
    x = np.roll(x, rng.integers(48))
    x = np.where(x != 0, x, gaussian_filter1d(0.25 * rng.standard_normal(72), 2))
    x = x + 0.02 * rng.standard_normal(72)
    x = x - 0.75 * (rng.random() - 0.5) * np.linspace(-0.5, 0.5, 72)
    return stretched(x, 40)


@dataclass(frozen=True, kw_only=True)
class Careless(MadeSet):
    """A set of a user who draws from the global streams."""

    name: ClassVar[str] = "careless"
    n_validation: ClassVar[int] = 50
    n_test: ClassVar[int] = 50
    classes: int = 2

    @property
    def shape(self) -> tuple[int, ...]:
        return (3,)

    def draw(self, n: int, rng: np.random.Generator) -> Arrays:
        x = np.random.standard_normal((n, 3)).astype(np.float32) + random.random()
        return Arrays(x, rng.integers(2, size=n))


def test_draws_from_global_streams_are_fixed_by_their_purpose() -> None:
    first = drawn(Careless().load(None, stream_seed=1), 2)
    np.random.seed(5)
    MEMORY.clear()
    splits = Careless().load(None, stream_seed=1)
    before = np.random.random()
    other = drawn(splits, 0)
    assert np.array_equal(drawn(splits, 2).x, first.x)
    assert not np.array_equal(first.x, other.x)
    np.random.seed(5)
    assert np.random.random() == before
    assert np.array_equal(splits.test.x, Careless().load(100).test.x)


OWN = np.random.default_rng(0)


@dataclass(frozen=True, kw_only=True)
class Stubborn(Careless):
    """The same, from a generator of its own: none, one of the system's, or one with a fixed seed."""

    name: ClassVar[str] = "stubborn"
    seeded: bool | None = None

    def draw(self, n: int, rng: np.random.Generator) -> Arrays:
        rng = OWN if self.seeded is None else np.random.default_rng(3 if self.seeded else None)
        return Arrays(rng.standard_normal((n, 3)).astype(np.float32), rng.integers(2, size=n))


@pytest.mark.parametrize(
    ("seeded", "said"),
    [
        (None, "found other examples each time that stubborn draws from the same generator"),
        (False, "found other examples each time that stubborn draws from the same generator"),
        (True, "found the same 64 examples from every generator that stubborn is given, so that it is tested on what"),
    ],
)
@pytest.mark.parametrize("size", [None, 40])
def test_examples_that_do_not_follow_from_the_generator_are_refused(
    seeded: bool | None, said: str, size: int | None
) -> None:
    with pytest.raises(UserError, match=said):
        Stubborn(seeded=seeded).load(size)


@dataclass(frozen=True, kw_only=True)
class Ordered(Careless):
    """One class after the other, or what only looks so: a rare class, or many classes."""

    name: ClassVar[str] = "ordered"
    kind: str = "up"

    def draw(self, n: int, rng: np.random.Generator) -> Arrays:
        if self.kind == "tuple":
            return rng.standard_normal((n, 3)), rng.integers(2, size=n)  # type: ignore[return-value]
        y = np.sort(rng.integers(2, size=n))
        if self.kind == "rare":
            y = (np.arange(n) == n - 1).astype(np.int64)
        return Arrays(rng.standard_normal((n, 3)).astype(np.float32), y[::-1] if self.kind == "down" else y)


@pytest.mark.parametrize("kind", ["up", "down"])
def test_examples_drawn_in_the_order_of_their_classes_are_refused_where_they_are_taken_as_they_come(kind: str) -> None:
    with pytest.raises(UserError, match=r"64 examples that ordered drew in the order of their labels; .*permutation"):
        Ordered(kind=kind).load(None)
    Ordered(kind=kind).load(40)
    Ordered(kind="rare").load(None)


def test_an_order_within_few_examples_at_a_time_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Ordered, "chunk", 8)
    MEMORY.clear()
    Ordered().load(None)


def test_the_order_of_draws_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    MEMORY.clear()
    drawn, draw = list[int](), Careless.draw
    monkeypatch.setattr(Careless, "draw", lambda data, n, rng: drawn.append(n) or draw(data, n, rng))
    Careless().load(None)
    assert drawn
    drawn.clear()
    Careless().load(None, stream_seed=1)
    assert not drawn


def test_a_draw_that_returns_no_arrays_is_told() -> None:
    with pytest.raises(UserError, match=r"found a tuple as the drawn split of ordered; .* write Arrays\(x, y\)"):
        Ordered(kind="tuple").load(None)


@dataclass(frozen=True, kw_only=True)
class Rare(Careless):
    """One example in eight is of class 1."""

    name: ClassVar[str] = "rare"
    n_validation: ClassVar[int] = 4_000
    n_test: ClassVar[int] = 4_000

    def draw(self, n: int, rng: np.random.Generator) -> Arrays:
        return Arrays(rng.standard_normal((n, 3)).astype(np.float32), (rng.random(n) < 1 / 8).astype(np.int64))


def test_unequal_classes_of_a_draw_are_as_frequent_in_subsets_and_in_chance() -> None:
    splits = Rare().load(800)
    assert isinstance(splits.train, Arrays)
    assert splits.train.y.mean() == pytest.approx(1 / 8, abs=0.02)
    assert splits.chance == pytest.approx(-(np.log(1 / 8) / 8 + np.log(7 / 8) * 7 / 8), abs=0.03)
    assert Rare().load(None).chance == splits.chance


@dataclass(frozen=True, kw_only=True)
class Line(Careless):
    """A regression of a user's own."""

    name: ClassVar[str] = "line"
    metric: ClassVar[Metric] = "squared_error"
    n_validation: ClassVar[int] = 500
    n_test: ClassVar[int] = 500
    classes: int = 1
    scale: float = 1.0
    in_order: bool = False

    def draw(self, n: int, rng: np.random.Generator) -> Arrays:
        x = rng.standard_normal((n, 3))
        x = np.sort(x, axis=0) if self.in_order else x
        return Arrays(x, self.scale * x[:, 0])


def test_a_draw_of_targets_is_a_regression() -> None:
    small, large, stream = Line().load(100), Line().load(20_000), Line().load(None)
    assert isinstance(small.train, Arrays)
    assert isinstance(large.train, Arrays)
    assert np.array_equal(small.train.x, large.train.x[:100])
    assert large.chance == stream.chance == pytest.approx(1, abs=0.2)


@pytest.mark.parametrize("size", [None, 100])
def test_targets_drawn_in_their_order_are_refused(size: int | None) -> None:
    """A subset would have the lowest ones alone."""
    with pytest.raises(UserError, match="64 examples that line drew in the order of their labels"):
        Line(in_order=True).load(size)


def test_targets_in_other_units_are_refused() -> None:
    with pytest.raises(UserError, match=r"found targets of line with mean .* losses are in units of Var\(y\)"):
        Line(scale=7.0).load(100)
