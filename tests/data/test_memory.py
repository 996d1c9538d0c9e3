from __future__ import annotations

from itertools import count

import numpy as np

from scaling.data.memory import Memory

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
