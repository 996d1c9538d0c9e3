"""Sets that stay on a device from run to run: as long as their originals are in memory, and no more than may."""

from __future__ import annotations

import gc
from collections import OrderedDict

import numpy as np
import pytest
import torch

from scaling.data.base import Arrays
from scaling.train.feed import resident
from scaling.train.feed.device_cache import Kept, shared_examples
from scaling.train.feed.normalisation import Normalisation
from scaling.train.feed.resident import KEPT, bring

CPU = torch.device("cpu")
SCALE = Normalisation(torch.tensor([1.0]), torch.tensor([2.0]))
SIZE = 100 * (4 * 4 + 8)  # bytes of a set, normalised


def arrays(seed: int = 0) -> Arrays:
    """A set as a worker keeps it in memory for all its runs."""
    rng = np.random.default_rng(seed)
    made = Arrays(rng.standard_normal((100, 4), dtype=np.float32), rng.integers(3, size=100))
    made.x.flags.writeable = made.y.flags.writeable = False
    return made


@pytest.fixture(autouse=True)
def limit(monkeypatch):
    """Let this device keep two sets."""
    monkeypatch.setattr(resident, "kept_bytes", lambda device: 2 * SIZE)
    yield
    KEPT.clear()


def brought(made: Arrays):
    return bring(made, SCALE, CPU, reads=1_000)


def test_a_set_is_brought_once_for_all_runs():
    made = arrays()
    first = brought(made)
    assert brought(Arrays(made.x[:], made.y[:])) is first
    with shared_examples():
        assert brought(made) is first
    assert brought(Arrays(made.x[:50], made.y[:50])) is not first


def test_what_is_read_in_place_is_not_kept():
    """It would keep the original in memory."""
    made = arrays()
    assert bring(made, None, CPU, reads=1_000).x.data_ptr() == made.x.ctypes.data
    assert bring(made, SCALE, CPU, reads=1).scale is SCALE
    assert len(KEPT._held) == 0


def test_the_one_used_longest_ago_goes_first():
    one, other, third = arrays(1), arrays(2), arrays(3)
    first, second = brought(one), brought(other)
    assert brought(one) is first
    brought(third)
    assert brought(one) is first
    assert brought(other) is not second


def test_what_is_too_large_or_may_be_written_to_is_not_kept(monkeypatch):
    made, loose = arrays(), Arrays(np.zeros((100, 4), dtype=np.float32), np.zeros(100, dtype=np.int64))
    assert brought(loose) is not brought(loose)
    monkeypatch.setattr(resident, "kept_bytes", lambda device: SIZE - 1)
    assert brought(made) is not brought(made)


def test_a_set_goes_with_its_original():
    made = arrays()
    brought(made)
    assert len(KEPT._held) == 1
    del made
    gc.collect()
    assert len(KEPT._held) == 0


def test_values_that_another_thread_drops_meanwhile():
    cache = Kept()

    class Dropped(float):
        """A size: while it is added up, another thread drops all values."""

        def __radd__(self, other):
            cache.clear()
            return other + 1.0

    made = arrays()
    assert cache.get("a", made, lambda: ("first", Dropped()), 0.5) == "first"
    assert len(cache._held) == 0


def test_a_value_that_another_thread_drops_before_it_is_returned(monkeypatch):
    cache, made = Kept(), arrays()
    monkeypatch.setattr(cache, "_held", Emptied())
    assert cache.get("a", made, lambda: ("first", 1.0), 2.0) == "first"


class Emptied(OrderedDict):
    """What another thread empties as soon as something is in it."""

    def __setitem__(self, key, value):
        super().__setitem__(key, value)
        self.clear()
