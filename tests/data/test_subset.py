from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaling.data.subset import class_sequence, subset_order

SKEWED = st.lists(st.one_of(st.integers(0, 4), st.integers(1, 3_000)), min_size=1, max_size=40).filter(any)


def farthest_from_share(counts: np.ndarray, sequence: np.ndarray) -> float:
    """Return the largest distance of any class from its share over all prefixes."""
    seen = np.cumsum(np.eye(len(counts))[sequence], axis=0)
    shares = counts / counts.sum()
    return float(np.abs(seen - np.arange(1, len(sequence) + 1)[:, None] * shares).max())


@given(counts=SKEWED, seed=st.integers(0, 5))
@settings(max_examples=60)
def test_every_prefix_has_each_class_within_one_example_of_its_share(counts: list[int], seed: int) -> None:
    array = np.array(counts)
    size = min(int(array.sum()), 3_000)
    sequence = class_sequence(array, size, seed=seed)
    assert farthest_from_share(array, sequence) < 1
    if size == array.sum():
        assert np.bincount(sequence, minlength=len(array)).tolist() == counts


@pytest.mark.parametrize(
    "counts",
    [[45_586, 50, 171, 8_903, 3_267, 10, 13], [1_000, 1, 1, 1], [1] * 300, [2**i for i in range(12)], [7, 0, 3]],
    ids=["shuttle", "one large", "singletons", "doubling", "an empty class"],
)
def test_skewed_classes(counts: list[int]) -> None:
    array = np.array(counts)
    assert farthest_from_share(array, class_sequence(array, min(int(array.sum()), 9_000), seed=0)) < 1


def test_the_sequence_goes_on_beyond_the_counts_with_the_same_shares() -> None:
    counts = np.array([3, 5, 1])
    assert farthest_from_share(counts, class_sequence(counts, 500, seed=3)) < 1


@given(labels=st.lists(st.integers(0, 6), min_size=1, max_size=200), seed=st.integers(0, 3), data=st.data())
@settings(max_examples=40)
def test_subsets_are_nested_and_name_each_example_once(labels: list[int], seed: int, data: st.DataObject) -> None:
    array = np.array(labels)
    size = data.draw(st.integers(1, len(labels)))
    whole = subset_order(array, seed=seed)
    assert sorted(whole.tolist()) == list(range(len(labels)))
    assert subset_order(array, seed=seed, size=size).tolist() == whole[:size].tolist()


def test_another_seed_is_another_subset_of_the_same_proportions() -> None:
    labels = np.repeat(np.arange(3), [100, 300, 600])
    first, second = (subset_order(labels, seed=seed, size=50) for seed in (0, 1))
    assert set(first.tolist()) != set(second.tolist())
    assert np.bincount(labels[first]).tolist() == np.bincount(labels[second]).tolist() == [5, 15, 30]


def test_the_order_is_pinned() -> None:
    labels = np.array([0, 1, 2, 1, 0, 1, 1, 1])
    assert subset_order(labels, seed=0).tolist() == [7, 0, 3, 5, 6, 2, 4, 1]
    assert subset_order(np.repeat(np.arange(10), 6_000), seed=0)[-3:].tolist() == [54344, 51417, 18984]
