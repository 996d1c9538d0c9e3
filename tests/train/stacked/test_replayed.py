"""The step of a stack through the buffers of a graph: bit for bit the one launched kernel by kernel.

What only a GPU can show, that a captured step is replayed to the same bits, is in tests/gpu.
"""

from __future__ import annotations

import pytest

from scaling.folders import read_lines
from scaling.train.run import train_run
from scaling.train.stacked import stack
from scaling.train.stacked.steps import inputs
from scaling.train.stacked.steps.launch import replayed
from tests.default_cases import default_cases
from tests.train.runs import essence, folder_of, stopped_after
from tests.train.stacked.stacks import losses, records, stacked, together
from tests.train.stacked.test_against_single import CHEAP, DEAR, PIXELS, seeded
from tests.train.step.test_step import without_capturing
from tests.waiting import Clock

NORMED = seeded({"steps": 40}, model={"is": "mlp", "width": 12, "depth": 2, "norm": "batch"}, data=PIXELS)
HALF = seeded({"steps": 40, "precision": "bf16"})
LENGTHS = [
    {"train": {"steps": steps, "milestones": 3}, "seed": seed} for seed, steps in enumerate((20, 50, 90, 160, 400))
]


@pytest.fixture
def captured(monkeypatch):
    """Let each step read from buffers, as if it were captured; the widths of the stacks for which one was."""
    widths = []

    def launch(train, steps):
        widths.append(steps.block.members)
        return replayed(steps, capture=without_capturing)

    def use():
        monkeypatch.setattr(stack, "launch_of", launch)
        return widths

    return use


def check(members, tmp_path, captured) -> list[int]:
    runs = [stacked(keys) for keys in members]
    wanted = records(runs, tmp_path / "kernels")
    widths = captured()
    found = records(runs, tmp_path / "buffers")
    # A CPU's kernel of AdamW rounds the last numbers of all rows otherwise, and rows that have left may be the last.
    same = [losses(record) for record in found] == [pytest.approx(losses(record), rel=1e-5) for record in wanted]
    exact = [essence(record) for record in found] == [essence(record) for record in wanted]
    assert same if _narrows(members) else exact
    assert {record.how["launch"] for record in found} == {"graph"}
    return widths


def _narrows(members) -> bool:
    """Whether these are members that AdamW trains, of several lengths."""
    names = {keys.get("optim", {"is": "adamw"})["is"] for keys in members}
    return names == {"adamw"} and len({keys["train"]["steps"] for keys in members}) > 1


@pytest.mark.parametrize("case", default_cases(CHEAP, "adamw", "mixed"))
def test_a_stack_through_buffers_has_the_same_bits(case, tmp_path, captured):
    check(CHEAP[case], tmp_path, captured)


@pytest.mark.slow
@pytest.mark.parametrize("case", [*DEAR, "normed", "bf16"])
def test_these_too(case, tmp_path, captured):
    check({**DEAR, "normed": NORMED, "bf16": HALF}[case], tmp_path, captured)


@pytest.mark.slow
def test_it_is_captured_again_only_where_half_of_the_members_have_left(tmp_path, captured):
    assert check(LENGTHS, tmp_path, captured) == [5, 2, 1]


def test_large_examples_fill_the_buffers_more_often(tmp_path, captured, monkeypatch):
    monkeypatch.setattr(inputs, "MOST_BYTES", 3 * 2 * 32 * (6 * 4 + 8))  # two steps of three members
    check(seeded({"steps": 41}), tmp_path, captured)


def test_one_that_is_lost_and_one_that_is_stopped_disturb_no_other(tmp_path, captured, every_step):
    """Their rows stay: what is checked, logged and saved of the others after the first has left is their own."""
    keys = [{"train": {"steps": 200}, "optim": {"is": "sgd", "lr": lr}, "seed": 3} for lr in (0.1, 1e30, 0.05, 0.2)]
    runs = [stacked(each) for each in keys]

    def outcome(results):
        found = together(runs, results, stops={runs[3].run_id: stopped_after(150)})
        folders = [folder_of(run, results) for run in runs]
        curves = [[line["train_loss"] for line in read_lines(folder.log)] for folder in folders]
        went_on = train_run(runs[3], folders[3], device="cpu")
        assert [end.result.status if end.result else None for end in found] == [
            "finished",
            "diverged",
            "finished",
            None,
        ]
        return [essence(end.result) for end in found[:3]], curves, essence(went_on)

    wanted = outcome(tmp_path / "kernels")
    captured()
    assert outcome(tmp_path / "buffers") == wanted


def test_what_is_read_next_is_prepared_once_while_the_device_is_at_the_last_steps(tmp_path, captured, monkeypatch):
    computed, real = [], stack.Stack._rates
    monkeypatch.setattr(stack, "monotonic", Clock())  # which stands: no look at the callbacks ends a launch early
    monkeypatch.setattr(stack.Stack, "_rates", lambda self, count: computed.append(count) or real(self, count))
    captured()
    runs = [stacked({"train": {"steps": 300, "milestones": [0.5, 1]}, "seed": seed}) for seed in range(2)]
    records(runs, tmp_path)
    assert computed == [64, 64, 22, 42, 64, 44]
