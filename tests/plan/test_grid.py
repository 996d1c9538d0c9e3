"""The grammar of a sweep's grid."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaling.errors import UserError
from scaling.plan.grid import Block, read_grid, spaced


def cells(raw):
    return [cell for block in read_grid(raw) for cell in block.cells()]


def test_product_zip_list_and_their_union():
    found = cells(
        [
            {"product": {"model.width": [8, 16], "seed": [0, 1]}},
            {"zip": {"model.width": [32, 64], "optim.lr": [0.1, 0.2]}},
            {"list": [{"model.depth": 3}, {"model.depth": 4, "seed": 7}]},
        ]
    )
    assert found == [
        {"model.width": 8, "seed": 0},
        {"model.width": 8, "seed": 1},
        {"model.width": 16, "seed": 0},
        {"model.width": 16, "seed": 1},
        {"model.width": 32, "optim.lr": 0.1},
        {"model.width": 64, "optim.lr": 0.2},
        {"model.depth": 3},
        {"model.depth": 4, "seed": 7},
    ]


def test_varied_keys_are_found_in_a_pass_over_the_cells_for_each_key():
    class Counted(list):
        passes = 0

        def __iter__(self):
            self.passes += 1
            return super().__iter__()

    items = Counted({"model.width": 8, "seed": seed} for seed in range(100))
    block = Block({"model.depth": (2,), "optim.lr": (0.1, 0.2)}, items)
    assert block.varied() == ["optim.lr", "seed"]
    assert items.passes <= 3


def test_ranges_include_both_ends():
    assert spaced({"from": 8, "to": 192, "num": 3, "spacing": "log"}, where="w")[::2] == (8, 192)
    assert spaced({"from": 0, "to": 1, "num": 5}, where="w") == (0, 0.25, 0.5, 0.75, 1)
    assert spaced({"from": 8, "to": 64, "step": 2, "spacing": "log"}, where="w") == (8, 16, 32, 64)
    assert spaced({"from": 3, "to": 10, "step": 3}, where="w") == (3, 6, 9)


def test_ranges_have_no_rounding_errors_of_their_steps():
    tenths = (0.1, 0.2, 0.3, 0.4)
    assert spaced({"from": 0.1, "to": 0.4, "step": 0.1}, where="p") == tenths
    assert spaced({"from": 0.1, "to": 0.4, "num": 4}, where="p") == tenths
    assert spaced({"from": 0.3, "to": 0.7, "num": 2, "round": 0.1}, where="p") == (0.3, 0.7)
    assert spaced({"from": 0, "to": 1, "num": 4}, where="p") == (0, 1 / 3, 2 / 3, 1)


def test_rounded_widths_are_distinct_multiples():
    widths = spaced({"from": 8, "to": 192, "num": 30, "spacing": "log", "round": 4}, where="w")
    assert all(width % 4 == 0 and isinstance(width, int) for width in widths)
    assert len(set(widths)) == len(widths) < 30


def test_zero_and_negative_ends_stay_when_rounded():
    assert spaced({"from": 0, "to": 4, "step": 1, "round": 1}, where="seed") == (0, 1, 2, 3, 4)
    assert spaced({"from": 0, "to": 0.3, "num": 4, "round": 0.1}, where="optim.weight_decay") == (0, 0.1, 0.2, 0.3)
    assert spaced({"from": -2, "to": 2, "num": 3, "round": 1}, where="seed") == (-2, 0, 2)
    assert spaced({"from": 0.2, "to": 8, "num": 2, "round": 4}, where="w") == (4, 8)


@given(st.floats(1e-3, 1e3), st.floats(1.5, 1e6), st.integers(2, 40))
def test_log_ranges_have_constant_ratios(start, ratio, num):
    values = spaced({"from": start, "to": start * ratio, "num": num, "spacing": "log"}, where="w")
    ratios = [b / a for a, b in itertools.pairwise(values)]
    assert values[0] == pytest.approx(start)
    assert values[-1] == pytest.approx(start * ratio)
    assert ratios == pytest.approx([ratios[0]] * len(ratios), rel=1e-6)


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ([], "list of blocks"),
        ({"product": {}}, "list of blocks"),
        ([{"product": {"a": [1]}, "zip": {"b": [1]}}], "exactly one of"),
        ([{"zip": {"a": [1, 2], "b": [1]}}], "unequal length"),
        ([{"product": {"a": []}}], "no values for a"),
        ([{"list": []}], "without cells"),
        ([{"product": {"a": {"from": 1, "to": 2}}}], "num or step"),
        ([{"product": {"a": {"from": 0, "to": 2, "num": 3, "spacing": "log"}}}], "positive"),
        ([{"product": {"a": {"from": 1, "to": 2, "step": -1}}}], "leads from one end"),
        ([{"product": {"a": {"from": 1, "to": 2, "step": -3, "spacing": "log"}}}], "leads from one end"),
        ([{"product": {"a": {"from": "x", "to": 2, "num": 3}}}], "from: 'x'"),
        ([{"product": {"a": {"from": 1, "to": None, "num": 3}}}], "to: None"),
        ([{"product": {"a": {"from": 1, "to": math.inf, "num": 3}}}], "to: inf"),
        ([{"product": {"a": {"from": 1, "to": 2, "step": "x"}}}], "step: 'x'"),
        ([{"product": {"a": {"from": 1, "to": 2, "num": True}}}], "num=True"),
        ([{"product": {"a": {"from": 1, "to": 2, "num": 3, "round": 0}}}], "round: 0"),
        ([{"product": {"a": {"from": 1, "to": 2, "num": 3, "round": "x"}}}], "round: 'x'"),
        ([{"product": {1: [2]}}], "found 1 as a key"),
        ([{"list": [{1: 2}]}], "found 1 as a key"),
    ],
)
def test_bad_grids_are_named(raw, said):
    with pytest.raises(UserError, match=said):
        read_grid(raw)
