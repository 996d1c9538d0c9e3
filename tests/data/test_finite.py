from __future__ import annotations

import gzip
import json
import shutil
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scaling.data.base import Arrays, Splits
from scaling.data.chance import constant_predictor
from scaling.data.digits import Digits
from scaling.data.fashion_mnist import DEBIAN, SHA256, FashionMnist
from scaling.data.memory import MEMORY
from scaling.data.npz import Npz
from scaling.data.npz_regression import NpzRegression
from scaling.data.subset import subset_order
from scaling.errors import UserError

here = pytest.mark.skipif(not DEBIAN.is_dir(), reason="needs Debian's package dataset-fashion-mnist")


def train_of(splits: Splits) -> Arrays:
    assert isinstance(splits.train, Arrays)
    return splits.train


class TestDigits:
    def test_all_1797_are_dealt_to_three_splits_that_share_nothing(self) -> None:
        splits = Digits().load(None)
        parts = [train_of(splits), splits.validation, splits.test]
        assert [len(part) for part in parts] == [1_197, 300, 300]
        assert all(part.x.dtype == np.uint8 and part.x.shape[1:] == (1, 8, 8) for part in parts)
        seen = [{row.tobytes() for row in part.x} for part in parts]
        assert sum(map(len, seen)) == len(set.union(*seen)) == 1_797
        for part in parts:
            assert np.bincount(part.y).min() > 0.09 * len(part)

    @pytest.mark.slow
    def test_they_are_those_that_scikit_learn_loads(self) -> None:
        from sklearn.datasets import load_digits

        splits, known = Digits().load(None), load_digits()
        read = {part.x[i].tobytes(): part.y[i] for part in (train_of(splits), splits.test) for i in range(len(part))}
        kept = [image.astype(np.uint8).tobytes() in read for image in known.images]
        assert sum(kept) == 1_497
        assert all(
            read[image.astype(np.uint8).tobytes()] == label
            for image, label, here in zip(known.images, known.target, kept, strict=True)
            if here
        )

    def test_subsets_are_nested_and_the_test_set_does_not_change(self) -> None:
        small, large, other = Digits().load(100), Digits().load(400), Digits(seed=1).load(100)
        assert np.array_equal(train_of(small).x, train_of(large).x[:100])
        assert not np.array_equal(train_of(small).x, train_of(other).x)
        assert np.array_equal(small.test.x, other.test.x)
        assert small.chance == large.chance == other.chance

    def test_normalisation_is_of_the_training_images(self) -> None:
        splits = Digits().load(None)
        x = train_of(splits).x.astype(np.float64)
        assert splits.mean == pytest.approx((x.mean(),))
        assert splits.std == pytest.approx((x.std(),))


@here
class TestFashionMnist:
    @pytest.mark.slow
    def test_the_official_images_and_their_split(self) -> None:
        splits = FashionMnist().load(None)
        assert train_of(splits).x.shape == (60_000, 1, 28, 28)
        for part in (splits.validation, splits.test):
            assert np.bincount(part.y).tolist() == [500] * 10
        assert splits.mean[0] / 255 == pytest.approx(0.2860, abs=1e-4)
        assert splits.chance == pytest.approx(np.log(10))
        halves = {row.tobytes() for row in splits.validation.x}
        assert not any(row.tobytes() in halves for row in splits.test.x)

    @pytest.mark.slow
    def test_subsets_and_other_sizes(self) -> None:
        whole, small = FashionMnist().load(1_000), FashionMnist(image_size=14).load(1_000)
        assert np.bincount(train_of(whole).y).tolist() == [100] * 10
        assert train_of(small).x.shape == (1_000, 1, 14, 14)
        assert np.array_equal(train_of(whole).y, train_of(small).y)
        blocks = train_of(whole).x.reshape(1_000, 14, 2, 14, 2).mean(axis=(2, 4))
        assert np.corrcoef(blocks.ravel(), train_of(small).x.ravel())[0, 1] > 0.98

    @pytest.mark.slow
    def test_a_folder_of_plain_idx_files_comes_first_and_is_checked(self, tmp_path: Path) -> None:
        for name in SHA256:
            (tmp_path / name).write_bytes(gzip.decompress((DEBIAN / f"{name}.gz").read_bytes()))
        data = FashionMnist(root=str(tmp_path))
        assert data.source().where == str(tmp_path)
        assert np.array_equal(train_of(data.load(10)).x, train_of(FashionMnist().load(10)).x)

        path = tmp_path / "t10k-labels-idx1-ubyte"
        content = bytearray(path.read_bytes())
        content[100] ^= 1
        path.write_bytes(content)
        MEMORY.clear()
        with pytest.raises(UserError, match=r"found t10k-labels-idx1-ubyte .* fetch it again"):
            data.load(10)

    def test_a_damaged_file_is_named(self, tmp_path: Path) -> None:
        for name in SHA256:
            shutil.copy(DEBIAN / f"{name}.gz", tmp_path)
        path = tmp_path / "train-images-idx3-ubyte.gz"
        path.write_bytes(path.read_bytes()[:1_000_000])
        with pytest.raises(UserError, match=r"train-images-idx3-ubyte.gz, which cannot be read"):
            FashionMnist(root=str(tmp_path)).load(10)


def test_where_fashion_mnist_is_missing_one_sentence_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scaling.data.fashion_mnist.DEBIAN", tmp_path / "nowhere")
    monkeypatch.setattr("scaling.data.hub.find_spec", lambda name: None)
    with pytest.raises(UserError, match="apt-get install dataset-fashion-mnist"):
        FashionMnist(root=str(tmp_path)).load(10)


class TestNpz:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        rng = np.random.default_rng(0)
        x, y = rng.standard_normal((200, 5)), rng.choice(3, 200, p=[0.6, 0.3, 0.1])
        np.savez(tmp_path / "mine.npz", x_train=x, y_train=y, x_test=x[:40] + 1, y_test=y[:40])
        return tmp_path

    def test_a_split_that_is_not_there_is_cut_off_the_training_examples(self, folder: Path) -> None:
        splits = Npz(file="mine.npz", root=str(folder), classes=3, examples=180, features=5).load(90)
        assert (len(splits.validation), len(splits.test)) == (20, 40)
        assert train_of(splits).x.dtype == np.float32
        shares = np.bincount(train_of(splits).y) / 90
        assert np.abs(shares - [0.6, 0.3, 0.1]).max() < 0.1

    def test_a_set_is_read_once_for_subsets_of_all_sizes_without_copies(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        read, reads = Npz.read, list[str]()
        monkeypatch.setattr(Npz, "read", lambda data: reads.append(data.file) or read(data))
        monkeypatch.setattr(MEMORY, "limit", 15_000)
        shutil.copy(folder / "mine.npz", folder / "other.npz")
        sets = [
            Npz(file=f"{name}.npz", root=str(folder), classes=3, examples=180, features=5) for name in ("mine", "other")
        ]
        found = [data.load(size) for size in (None, 40, 180, 90) for data in sets]
        assert reads == ["mine.npz", "other.npz"]
        assert MEMORY.used <= 15_000
        assert all(np.shares_memory(train_of(each).x, train_of(found[0]).x) for each in found[::2])
        everything = read(sets[0]).train
        order = subset_order(everything.y, seed=0)
        assert np.array_equal(train_of(found[6]).x, everything.x[order[:90]])
        assert np.array_equal(train_of(found[0]).y, everything.y[order])

    def test_reading_holds_one_copy_beside_what_its_deviation_takes(self, tmp_path: Path) -> None:
        x, y = np.random.default_rng(0).standard_normal((5_000, 400), dtype=np.float32), np.arange(5_000) % 3
        held_out = {"x_val": x[:9] + 1, "y_val": y[:9], "x_test": x[9:18] + 1, "y_test": y[9:18]}
        np.savez(tmp_path / "mine.npz", x_train=x, y_train=y, **held_out)
        data = Npz(file="mine.npz", root=str(tmp_path), classes=3, examples=5_000, features=400)
        tracemalloc.start()
        try:
            data.load(100)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 3.5 * x.nbytes  # NumPy takes the deviation of twice as many bytes, in float64

    def test_images_in_either_order_of_axes(self, tmp_path: Path) -> None:
        images = np.random.default_rng(0).integers(0, 256, (60, 4, 4, 3), dtype=np.uint8)
        y = np.arange(60) % 2
        np.savez(tmp_path / "last.npz", x_train=images, y_train=y)
        np.savez(tmp_path / "first.npz", x_train=images.transpose(0, 3, 1, 2), y_train=y)
        data = Npz(file="last.npz", root=str(tmp_path), classes=2, examples=48, image_size=4, channels=3)
        last, first = data.load(None), replace(data, file="first.npz").load(None)
        assert np.array_equal(train_of(last).x, train_of(first).x)
        assert len(last.mean) == 3

    @pytest.mark.parametrize(
        ("wrong", "sentence"),
        [
            ({"features": 4}, r"shape \(5,\) in npz; wanted the declared \(4,\)"),
            ({"classes": 4}, r"found labels up to 2 in npz; wanted those of the 4 classes .* set data.classes=3"),
            ({"classes": 2}, r"y_train from 0 to 2 in .*npz; wanted 0 to 1; set data.classes=3"),
            ({"examples": 1_000}, r"found 180 training examples .* set data.examples=180"),
            ({"file": "other.npz"}, r"found no file .*other.npz"),
            ({"sha256": "0123456789abcdef"}, r"wanted data.sha256=0123456789ab"),
            ({"features": None}, r"give data.features=N or data.image_size=PIXELS"),
        ],
    )
    def test_what_is_declared_is_checked(self, folder: Path, wrong: dict[str, object], sentence: str) -> None:
        data = Npz(file="mine.npz", root=str(folder), classes=3, examples=180, features=5)
        with pytest.raises(UserError, match=sentence):
            replace(data, **wrong).load(None)  # type: ignore[arg-type]

    @pytest.mark.parametrize(
        ("arrays", "sentence"),
        [
            ({"x_train": np.zeros((9, 5))}, "wanted y_train too"),
            ({"x_train": np.zeros((9, 5)), "y_train": np.zeros(9)}, "wanted whole numbers from 0"),
            ({"x_train": np.zeros((9, 5)), "y_train": np.zeros(8, int)}, "wanted the same number of each"),
            ({"x_train": np.full((9, 5), np.nan), "y_train": np.zeros(9, int)}, "not finite"),
            (
                {"x_train": np.zeros((9, 5)), "y_train": np.arange(9) % 3 - 1},
                "y_train from -1 to 1 .* count them from 0",
            ),
            ({"x_train": np.zeros((0, 5)), "y_train": np.zeros(0, int)}, "at least one"),
            (
                {"x_train": np.array([{}]), "y_train": np.zeros(1, int)},
                "no .npz file of plain arrays but has one of Python",
            ),
            ({"x_train": np.zeros((9, 5)), "y_train": np.full(9, "a")}, r"write numpy.unique\(y, return_inverse=True"),
            (
                {"x_train": 1e6 * np.eye(5)[:1] + np.arange(45).reshape(9, 5) % 7, "y_train": np.arange(9) % 3},
                "normalise all features; write",
            ),
            ({"x_train": np.ones((9, 5)) * 1j, "y_train": np.zeros(9, int)}, "x_train of type complex128"),
            ({"x_train": np.full((9, 5), "a"), "y_train": np.zeros(9, int)}, "x_train of type <U1"),
            ({"x_train": np.zeros(()), "y_train": np.zeros(9, int)}, "wanted numbers with an example a row"),
            ({"x_train": np.zeros((12, 5)), "y_train": np.ones(12, int)}, "training labels are all 1; wanted several"),
            (
                {"x_train": np.zeros((12, 5)), "y_train": np.arange(12) % 3, "X_test": 0, "Y_test": 0},
                "found X_test, Y_test in .*, but no x_val; wanted x_val, y_val, x_test and y_test as names",
            ),
            ({"x_train": np.zeros((12, 5)), "y_train": np.arange(12) % 3, "valid_x": 0}, "found valid_x in"),
        ],
    )
    def test_bad_arrays_are_named(self, tmp_path: Path, arrays: dict[str, np.ndarray], sentence: str) -> None:
        np.savez(tmp_path / "bad.npz", **arrays)  # type: ignore[arg-type]
        with pytest.raises(UserError, match=sentence):
            Npz(file="bad.npz", root=str(tmp_path), classes=3, examples=9, features=5).load(None)

    def test_labels_beyond_the_classes_and_test_examples_that_are_trained_on_are_named(self, tmp_path: Path) -> None:
        x, y = np.random.default_rng(0).standard_normal((12, 5)), np.arange(12) % 3
        data = Npz(file="bad.npz", root=str(tmp_path), classes=3, examples=11, features=5)
        np.savez(tmp_path / "bad.npz", x_train=x, y_train=y + 2**40)
        with pytest.raises(UserError, match=r"found y_train from 1099511627776 .* wanted 0 to 2"):
            data.load(None)
        np.savez(tmp_path / "bad.npz", x_train=x, y_train=y, x_test=x[:4], y_test=y[:4])
        with pytest.raises(UserError, match=r"found x_test of .*bad\.npz at the head of x_train; wanted"):
            data.load(None)
        np.savez(tmp_path / "bad.npz", x_train=x, y_train=y, x_test=x[[7, 9, 2]], y_test=y[[7, 9, 2]])
        with pytest.raises(UserError, match=r"found x_test of .*bad\.npz among x_train; wanted"):
            data.load(None)

    @pytest.mark.parametrize(("first", "second"), [(np.uint8, np.float32), (np.float32, np.float32)])
    def test_held_out_examples_in_other_units_are_named(self, tmp_path: Path, first: type, second: type) -> None:
        x, y = np.random.default_rng(0).integers(0, 256, (30, 5)), np.arange(30) % 3
        held = (x[:9, ::-1] / 255).astype(second)
        np.savez(tmp_path / "bad.npz", x_train=x.astype(first), y_train=y, x_test=held, y_test=y[:9])
        with pytest.raises(UserError, match=r"found x_test of .* as float32 .* wanted both in the same units"):
            Npz(file="bad.npz", root=str(tmp_path), classes=3, examples=27, features=5).load(None)

    def test_examples_far_from_zero_are_not_rounded_away(self, tmp_path: Path) -> None:
        x, y = np.random.default_rng(0).standard_normal((30, 5)) + 1e8, np.arange(30) % 3
        np.savez(tmp_path / "far.npz", x_train=x, y_train=y)
        with pytest.raises(UserError, match=r"with mean 1e\+08 .* float32 rounds"):
            Npz(file="far.npz", root=str(tmp_path), classes=3, examples=24, features=5).load(None)

    @pytest.mark.parametrize("scale", [0, 1e-60])
    def test_examples_that_float32_makes_all_the_same_are_refused(self, tmp_path: Path, scale: float) -> None:
        x, y = scale * np.random.default_rng(0).standard_normal((30, 5)), np.arange(30) % 3
        np.savez(tmp_path / "flat.npz", x_train=x, y_train=y)
        with pytest.raises(UserError, match="examples of npz that are all the same"):
            Npz(file="flat.npz", root=str(tmp_path), classes=3, examples=24, features=5).load(None)

    @pytest.mark.parametrize("change", [lambda y: y + 100, lambda y: 100 * y, lambda y: y / 100])
    def test_held_out_targets_in_other_units_are_named(self, tmp_path: Path, change: Callable[[Any], Any]) -> None:
        rng = np.random.default_rng(0)
        x, y = rng.standard_normal((60, 5)), rng.standard_normal(60)
        np.savez(tmp_path / "bad.npz", x_train=x[:40], y_train=y[:40], x_test=x[40:], y_test=change(y[40:]))
        with pytest.raises(UserError, match=r"found y_test of .* wanted both in the same units"):
            NpzRegression(file="bad.npz", root=str(tmp_path), examples=36, features=5).load(None)

    @pytest.mark.parametrize(
        "draw",
        [
            lambda rng, n: rng.lognormal(0.0, 3.0, n),  # few targets make up most of the deviation
            lambda rng, n: (np.arange(n) % 50 == 0) * 1.0,  # and of few held-out ones none may be such
            lambda rng, n: rng.poisson(0.06, n) * rng.lognormal(0.0, 1.0, n),
        ],
    )
    def test_heavy_tails_and_rare_events_are_no_other_units(self, tmp_path: Path, draw: Callable[..., Any]) -> None:
        rng = np.random.default_rng(0)
        data = NpzRegression(file="tails.npz", root=str(tmp_path), examples=900, features=5)
        for _ in range(30):
            x, y = rng.standard_normal((1_021, 5)), draw(rng, 1_000)
            held = draw(rng, 22)[1:]
            np.savez(tmp_path / "tails.npz", x_train=x[:1000], y_train=y, x_test=x[1000:], y_test=held)
            assert len(data.read().test) == 21

    def test_arrays_that_are_no_split_stay_in_the_file(self, tmp_path: Path) -> None:
        others = {"values": 0, "device": 0, "std_dev": 0, "names_of_classes": 0}
        np.savez(tmp_path / "x.npz", x_train=np.eye(12, 5), y_train=np.arange(12) % 3, **others)
        assert len(Npz(file="x.npz", root=str(tmp_path), classes=3, examples=10, features=5).load(None).test) == 1

    def test_a_bare_array(self, tmp_path: Path) -> None:
        np.save(tmp_path / "x.npy", np.zeros((9, 5)))
        with pytest.raises(UserError, match=r"one bare array in .*x\.npy; wanted an \.npz file of x_train and y_train"):
            Npz(file="x.npy", root=str(tmp_path), classes=3, examples=9, features=5).load(None)

    def test_a_file_that_is_no_npz(self, tmp_path: Path) -> None:
        (tmp_path / "bad.npz").write_text("hello")
        with pytest.raises(UserError, match=r"no .npz file of plain arrays"):
            Npz(file="bad.npz", root=str(tmp_path), classes=3, examples=9, features=5).load(None)


def test_chance_by_hand_and_for_a_class_unseen_in_training() -> None:
    counts, labels = np.array([98, 0]), np.array([0, 0, 0, 1])
    losses = -np.log(np.array([0.99, 0.99, 0.99, 0.01]))
    chance, se = constant_predictor(counts, labels)
    assert chance == pytest.approx(losses.mean())
    assert se == pytest.approx(losses.std(ddof=1) / 2)


def test_targets_of_a_regression_are_learnt_in_units_of_their_variance(tmp_path: Path, scaling) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((600, 5)).astype(np.float32)
    y = 40 + 7 * x[:, 0]
    np.savez(scaling.folder / "mine.npz", x_train=x, y_train=y)
    data = NpzRegression(file="mine.npz", root=str(scaling.folder), examples=480, features=5)
    splits = data.load(100)
    assert len(splits.train) == 100
    assert splits.chance == pytest.approx(1.0, abs=0.4)
    read_mean = data.read().train.y.mean(dtype=np.float64)  # in the order of the file, which rounds it
    assert splits.chance == ((splits.test.y.astype(np.float64) - read_mean) ** 2).mean()
    whole = data.load(None)
    assert float(whole.train.y.mean()) == pytest.approx(0, abs=1e-6)
    assert float(whole.train.y.std()) == pytest.approx(1, abs=1e-6)
    assert whole.facts["target_mean"] == pytest.approx(40, abs=1)
    assert whole.facts["target_std"] == pytest.approx(7, abs=1)
    told = ["data=npz_regression", "data.file=mine.npz", "data.examples=480", "data.features=5", "train.epochs=20"]
    net = ["model.width=16", "train.batch=32", "optim.lr=1e-2", "train.device=cpu"]
    said = json.loads(scaling("run", *told, *net, "--json", "-"))
    assert said["point"]["loss"] < 0.1
    np.savez(scaling.folder / "mine.npz", x_train=x, y_train=np.full(600, 3.0))
    with pytest.raises(UserError, match="targets that are all 3"):
        data.read()
    np.savez(scaling.folder / "mine.npz", x_train=x, y_train=y.astype(float) * 1e200)
    with pytest.raises(UserError, match=r"targets up to .*, whose variance is beyond all numbers"):
        data.read()
    np.savez(scaling.folder / "mine.npz", x_train=x, y_train=np.where(y > 40, np.nan, y))
    with pytest.raises(UserError, match="one finite number an example"):
        data.read()
