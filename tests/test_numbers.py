"""How numbers are shown."""

from __future__ import annotations

import pytest

from analysis import numbers
from scaling.numbers import big, duration, flops, measured, size


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (None, "–"), (0.25, "0.2 s"), (9.94, "9.9 s"), (59, "59 s"), (59.7, "1 min 0 s"), (200, "3 min 20 s"),
        (3600, "1 h 0 min"), (18_720, "5 h 12 min"), (90_000, "1 d 1 h"), (86_399.9, "1 d 0 h"),
        (8.64e10 - 1, "999999 d 23 h"), (8.64e10, "10⁶ d"), (2.6e80, "3.01×10⁷⁵ d"),
    ],
)  # fmt: skip
def test_a_duration_has_two_units(seconds, shown):
    assert duration(seconds) == shown
    assert seconds is None or numbers.duration(seconds) == shown


def test_bytes_and_counts():
    assert [size(n) for n in (999, 12_000, 3.4e6, 2e13)] == ["999 B", "12 kB", "3.4 MB", "20 TB"]
    assert [big(n) for n in (None, 1234, 1.234e9)] == ["–", "1,234", "1.23×10⁹"]


@pytest.mark.parametrize("value", [0, 1e8, 2e8, 9.531e10, 9.999e10, 3.6e11, 1.0])
def test_compute_is_shown_as_the_analysis_shows_it(value):
    assert flops(value) == numbers.flops(value)


@pytest.mark.parametrize("value", [1.2199999, 0.39, 12.5, 150.0, 1234.0])
def test_losses_keep_their_digits_as_in_the_analysis(value):
    assert measured(value) == numbers.measured(value).replace(",", "")
