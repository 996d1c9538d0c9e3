"""Check that examples are as they were declared, or say what differs."""

from __future__ import annotations

from collections.abc import Sequence, Sized
from math import lgamma, log

import numpy as np

from scaling.data.base import Arrays, DataSet
from scaling.errors import UserError

LARGEST_MEAN, LARGEST_VARIANCE = 0.5, 2.0  # of targets that count as scaled
FARTHEST_MEAN = 1e5  # in standard deviations: beyond it the rounding of float32 is seen in the loss
NEVER = 1e-6  # chance below which an order is no accident
FEW = 64  # examples that are compared first
SOME = 1_000  # examples that are looked at to find what is wrong with arrays
MOSTLY_UNIQUE = 0.9  # share of training examples that differ from all others, below which equal ones mean little
NUMBERS = "fiub"  # kinds of types: floats, whole numbers, bytes, bits


def checked(data: DataSet, split: str, arrays: Arrays) -> Arrays:
    """Return examples with class labels as int64; UserError if number, type, shape or labels are invalid."""
    check_arrays(data, split, arrays)
    x, y = arrays.x, arrays.y
    if not len(y) or len(x) != len(y):
        raise UserError(
            f"found {len(x)} examples and {len(y)} labels in the {split} split of {data.name}; "
            f"wanted the same number of each, at least one; mend the data"
        )
    if x.shape[1:] != data.shape:
        raise UserError(
            f"found {split} examples of shape {x.shape[1:]} in {data.name}; wanted the declared "
            f"{data.shape}; change the declared sizes under data"
        )
    classes = data.metric == "cross_entropy"
    if x.dtype.kind not in NUMBERS:
        raise UserError(f"found {split} examples of type {x.dtype} in {data.name}; wanted numbers; convert them")
    if y.ndim != 1 or y.dtype.kind not in ("iu" if classes else NUMBERS):
        raise UserError(
            f"found {split} labels of type {y.dtype} and shape {y.shape} in {data.name}; wanted one "
            f"{'whole ' if classes else ''}number an example; convert them, as by y.astype(numpy.int64)"
        )
    arrays = Arrays(_native(x), _native(y))
    if not classes:
        return arrays
    check_labels(y, f"{split} labels", data.name, classes=data.classes)
    return arrays if y.dtype == np.int64 else Arrays(arrays.x, y.astype(np.int64))


def _native(x: np.ndarray) -> np.ndarray:
    """Return an array with the byte order of this machine, which torch wants."""
    return x if x.dtype.isnative else x.astype(x.dtype.newbyteorder("="))


def check_arrays(data: DataSet, split: str, arrays: Arrays) -> None:
    """Raise UserError for other things than `Arrays` of NumPy arrays, such as a tuple, lists or tensors."""
    if not isinstance(arrays, Arrays):
        raise UserError(
            f"found a {type(arrays).__name__} as the {split} split of {data.name}; wanted scaling.data.base.Arrays; "
            f"write Arrays(x, y)"
        )
    other = next((type(part) for part in (arrays.x, arrays.y) if not isinstance(part, np.ndarray)), None)
    if other is not None:
        raise UserError(
            f"found a {other.__name__} in the {split} split of {data.name}; wanted NumPy arrays; convert it, as by "
            f"numpy.asarray"
        )


def check_number(data: DataSet, drawn: Sized, n: int) -> None:
    """Raise UserError if the number of drawn examples is not n, since examples are identified by position."""
    if len(drawn) != n:
        raise UserError(
            f"found {len(drawn):,} examples that {data.name} drew; wanted the {n:,} that it was asked for; mend draw"
        )


def check_order(data: DataSet, labels: np.ndarray) -> None:
    """Raise UserError if labels are drawn in ascending or descending order: batches would be of one class each."""
    steps = np.diff(labels)
    if not ((steps >= 0).all() or (steps <= 0).all()):
        return
    _, counts = np.unique(labels, return_counts=True)
    chance = sum(lgamma(count + 1) for count in counts) - lgamma(len(labels) + 1)  # logarithm of that of such an order
    if chance < log(NEVER):
        raise UserError(
            f"found {len(labels)} examples that {data.name} drew in the order of their labels; wanted them in random "
            f"order, because batches take them as they come; write order = rng.permutation(n) and Arrays(x[order], "
            f"y[order])"
        )


def check_finite(data: DataSet, split: str, arrays: Arrays) -> None:
    """Raise UserError if examples or targets are not finite: a run would seem to diverge."""
    for what, values in (("examples", arrays.x), ("targets", arrays.y)):
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise UserError(f"found {split} {what} of {data.name} that are not finite; wanted numbers; mend the data")


def check_different(data: DataSet, x: np.ndarray) -> None:
    """Raise UserError if all training examples are equal: numbers below 1e-45 are 0 in float32."""
    if len(x) > 1 and (x[:FEW] == x[0]).all() and (x == x[0]).all():
        raise UserError(
            f"found examples of {data.name} that are all the same (as float32); wanted different ones; mend "
            f"the data, or multiply numbers below 1e-38"
        )


def check_held_out(name: object, split: str, held: np.ndarray, train: np.ndarray) -> None:
    """Raise UserError if held-out examples are training examples."""
    if are_among(held, train):
        raise UserError(
            f"found {split} examples of {name} among its training examples; wanted examples that are not trained on; "
            f"hold some out"
        )


def are_among(held: np.ndarray, train: np.ndarray) -> bool:
    """Return whether most held-out examples, by a sample, are training examples; False if many of these are equal."""
    known = {hash(row.tobytes()) for row in train}
    if len(known) < MOSTLY_UNIQUE * len(train):
        return False
    some = some_of(held)
    return sum(hash(row.tobytes()) in known for row in some) > len(some) / 2


def some_of(x: np.ndarray) -> np.ndarray:
    """Return about SOME examples, spread over an array."""
    return x[:: max(1, len(x) // SOME)]


def check_moments(data: DataSet, mean: Sequence[float], std: Sequence[float]) -> None:
    """Raise UserError if examples cannot be normalised by a mean and a deviation for all or for each channel."""
    numbers = {1, data.shape[0]}
    if len(mean) not in numbers or len(std) not in numbers or not all(0 < each < np.inf for each in std):
        raise UserError(
            f"found mean={tuple(mean)} and std={tuple(std)} of {data.name}; wanted one of each, or one for each of its "
            f"{data.shape[0]} channels, and positive deviations; change them ((0.0,) and (1.0,) change nothing)"
        )
    if max(map(abs, mean)) > FARTHEST_MEAN * max(std):
        raise UserError(
            f"found examples of {data.name} with mean {max(mean, key=abs):.3g} and deviation {max(std):.3g}, which "
            f"float32 rounds to few different numbers; wanted them nearer to 0; write x - x_train.mean(0) in float64"
        )


def check_scaled(data: DataSet, targets: np.ndarray) -> None:
    """Raise UserError if targets are far from mean 0 and variance 1, in units of which losses are reported."""
    mean, variance = float(targets.mean(dtype=np.float64)), float(targets.var(dtype=np.float64))
    if not (abs(mean) < LARGEST_MEAN and 1 / LARGEST_VARIANCE < variance < LARGEST_VARIANCE):
        raise UserError(
            f"found targets of {data.name} with mean {mean:.3g} and variance {variance:.3g}; wanted mean 0 and "
            f"variance 1, because losses are in units of Var(y); scale them by constants, as in (y - {mean:.3g}) / "
            f"{variance**0.5:.3g}"
        )


def check_labels(labels: np.ndarray, what: str, where: object, *, classes: int | None = None) -> None:
    """Raise UserError if labels are negative or, for a known number of classes, too large."""
    low, high = int(labels.min()), int(labels.max())
    if low < 0:
        raise UserError(f"found {what} from {low} to {high} in {where}; wanted whole numbers from 0; count them from 0")
    if classes is not None and high >= classes:
        advice = f"{'count the labels from 0, or ' if low > 0 else ''}set data.classes={high + 1}"
        raise UserError(f"found {what} from {low} to {high} in {where}; wanted 0 to {classes - 1}; {advice}")
