from __future__ import annotations

import weakref
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from threading import Barrier

import numpy as np
import pytest

from scaling.data.base import Arrays
from scaling.data.memory import Memory, affordable
from scaling.devices import HostMemory

KILO = np.zeros(1_000, dtype=np.uint8)


def test_a_value_is_made_once_while_there_is_room() -> None:
    memory, made = Memory(2_500), count()
    for _ in range(3):
        memory.get("a", 0, lambda: (next(made), KILO))
    assert next(made) == 1


def test_the_bound_holds_and_the_group_used_longest_ago_goes_first() -> None:
    memory = Memory(2_500)
    for group in ("a", "b", "a", "c"):
        memory.get(group, 0, lambda: KILO.copy())
        assert memory.used <= 2_500
    kept = {group: memory.get(group, 0, lambda: None) is not None for group in ("a", "b", "c")}
    assert kept == {"a": True, "b": False, "c": True}


@pytest.mark.parametrize("hold", [lambda x: x, lambda x: Arrays(x, x[:0]), lambda x: (0, [x]), lambda x: {"test": x}])
def test_every_array_counts_and_is_read_only_however_a_value_holds_it(hold) -> None:
    memory, made = Memory(2_500), [KILO.copy() for _ in range(3)]
    for group, array in enumerate(made):  # as the features of one checkpoint after the other
        memory.get(group, 0, lambda array=array: hold(array))
    assert memory.used == 2_000
    assert not any(array.flags.writeable for array in made)


def test_within_a_group_the_first_chunks_stay() -> None:
    memory = Memory(2_500)
    first = [memory.get("stream", i, lambda: KILO.copy()) for i in range(5)]
    again = [memory.get("stream", i, lambda: KILO.copy()) for i in range(5)]
    assert [a is b for a, b in zip(first, again, strict=True)] == [True, True, False, False, False]


def test_what_is_too_large_is_handed_on_and_drives_nothing_out() -> None:
    memory = Memory(2_500)
    kept = memory.get("small", 0, lambda: KILO.copy())
    assert len(memory.get("large", 0, lambda: np.zeros(3_000, dtype=np.uint8))) == 3_000
    assert memory.get("small", 0, lambda: KILO.copy()) is kept


def test_a_value_above_the_limit_stays_until_another_is_made() -> None:
    """As a set does that is larger than the memory for data: it is read once for all runs on it."""
    memory, made = Memory(2_500), list[str]()

    def large(name: str) -> np.ndarray:
        return memory.get(name, 0, lambda: made.append(name) or np.zeros(3_000, dtype=np.uint8))

    kept = memory.get("small", 0, lambda: KILO.copy())
    assert large("a") is large("a")
    assert memory.get("small", 0, lambda: None) is kept
    gone = weakref.ref(large("a"))
    memory.get("b", 0, lambda: made.append("none" if gone() is None else "two at a time"))
    large("a")
    assert made == ["a", "none", "a"]
    memory.clear()
    large("a")
    assert made[3:] == ["a"]


def test_threads_make_values_at_the_same_time_but_each_once() -> None:
    """The two of "a" wait for each other; who asks for one that is being made waits for it."""
    memory, both, made = Memory(10_000), Barrier(2, timeout=10), list[int]()

    def make(i: int) -> np.ndarray:
        both.wait()
        made.append(i)
        return KILO.copy()

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda i: memory.get("a", i, lambda: make(i)), (0, 0, 1, 1)))
    assert sorted(made) == [0, 1]
    assert found[0] is found[1]
    assert found[2] is found[3]


def test_what_cannot_be_made_is_tried_again() -> None:
    memory = Memory(2_500)
    with pytest.raises(ZeroDivisionError):
        memory.get("a", 0, lambda: 1 // 0)
    assert memory.get("a", 0, lambda: 7) == 7


def test_a_long_stream_does_not_throw_out_what_its_chunks_are_made_with():
    memory, made = Memory(2_500), list[str]()

    def network() -> np.ndarray:
        return memory.get("making", "network", lambda: made.append("network") or np.zeros(100, dtype=np.uint8))

    def chunk(i: int) -> np.ndarray:
        made.append(f"chunk {i}")
        return np.resize(network(), 400)

    for i in range(20):
        memory.get("stream", i, lambda i=i: chunk(i))
    assert made.count("network") == 1
    before = len(made)
    for i in range(5):
        memory.get("stream", i, lambda i=i: chunk(i))
    assert len(made) == before


def test_one_large_set_takes_the_room_of_a_stream_that_is_used_no_more():
    memory = Memory(2_500)
    for i in range(3):
        memory.get("stream", i, lambda: KILO.copy())
    large = memory.get("set", 0, lambda: np.zeros(2_000, dtype=np.uint8))
    assert memory.get("set", 0, lambda: None) is large


def test_a_worker_of_a_gpu_keeps_more_than_one_of_many_cores(monkeypatch):
    """It is one of few on its machine, and what it draws again and again is what its GPU waits for."""
    monkeypatch.setattr("scaling.data.memory.host_memory", lambda: HostMemory(1 << 37, 1 << 37))
    monkeypatch.setattr("scaling.data.memory.cores", lambda: 64)
    assert affordable() == 1 << 29  # its core's share of a quarter
    assert affordable("cpu", workers=2) == 1 << 30
    assert affordable("cuda", workers=8) == 1 << 32
    assert affordable("cuda", workers=1) == 1 << 34
