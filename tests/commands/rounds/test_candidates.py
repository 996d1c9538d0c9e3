"""Axes of a sweep are extended by their own steps, within bounds."""

from __future__ import annotations

import pytest

from scaling.commands.rounds.candidates import extended_axis


@pytest.mark.parametrize(
    ("values", "bounds", "wanted"),
    [
        ([4, 8, 16], None, [4, 8, 16, 32, 64]),
        ([4, 8, 16], (4, 16), [4, 8, 16]),
        ([4, 8, 16], (32, 64), [32, 64]),
        ([8, 12, 16], (4, 8), [4, 8]),
        ([4, 8, 16], (9, 15), []),
        ([64, 96], (64, 300), [64, 96, 128, 224]),
        ([1234567.8, 2469135.6], (1e6, 3e6), [1234567.8, 2469135.6]),
        ([350.0, 900.0, 2800.0], None, [350.0, 900.0, 2800.0, 8711.0]),
        ([1.0, 2.0], None, [0.5, 1.0, 2.0, 4.0, 8.0]),
        (["adamw", "sgd"], None, ["adamw", "sgd"]),
        ([3], None, [3]),
        ([1e-9, 0.1], None, [1e-9, 0.1]),  # steps whose powers are beyond all numbers
        ([1e-9, 0.1], (1e-20, 1e8), [1e-17, 1e-9, 0.1, 1e7]),
    ],
)
def test_an_axis_is_carried_on_within_its_bounds(values, bounds, wanted):
    assert extended_axis(values, bounds) == wanted
