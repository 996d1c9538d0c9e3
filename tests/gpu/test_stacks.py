"""Runs trained together on a GPU: each the run that is trained alone but for rounding, and the same bits every time."""

from __future__ import annotations

import pytest
import torch

from tests.train.runs import essence
from tests.train.stacked.stacks import alone, losses, records, stacked
from tests.train.stacked.test_against_single import CHEAP, DEAR, seeded

EXACT = {"precision": "fp32"}
# Dropout draws other masks here than the kernel of a run trained alone; all else is the same run.
CASES = {name: case for name, case in {**CHEAP, **DEAR}.items() if name != "dropout"}
ROUNDING = 1e-3  # relative: a GPU's products of other shapes round otherwise


def exact(keys: dict) -> dict:
    return {**keys, "train": {**keys["train"], **EXACT}}


@pytest.mark.parametrize("case", CASES)
def test_a_member_is_the_run_trained_alone(case, gpu, tmp_path):
    members = [exact(keys) for keys in CASES[case]]
    found = records([stacked(keys) for keys in members], tmp_path, device="cuda")
    for keys, record in zip(members, found, strict=True):
        assert losses(record) == pytest.approx(losses(alone(keys, tmp_path, device="cuda")), rel=ROUNDING)


@pytest.mark.parametrize("case", CHEAP)
def test_the_same_stack_twice_has_the_same_bits(case, gpu, tmp_path):
    runs = [stacked(keys) for keys in CHEAP[case]]
    first, again = (records(runs, tmp_path / name, device="cuda") for name in "ab")
    assert [essence(record) for record in first] == [essence(record) for record in again]


def test_a_large_stack_narrows_and_leaves_no_memory_behind(gpu, tmp_path):
    members = [{**keys, "train": {"steps": 20 + 4 * (i % 50)}, "seed": i} for i, keys in enumerate(seeded({}) * 85)]
    used = []
    for name in "abc":
        records([stacked(keys) for keys in members], tmp_path / name, device="cuda")
        used.append(torch.cuda.memory_allocated())
    assert used[1] == used[2]
