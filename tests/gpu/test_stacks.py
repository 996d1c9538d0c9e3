"""Runs trained together on a GPU: each the run that is trained alone but for rounding, and the same bits every time."""

from __future__ import annotations

import pytest
import torch

from scaling.train.run import train_run
from scaling.train.stacked.users.vmapped import NotStackable
from tests.train.runs import essence, folder_of, stopped_after
from tests.train.stacked.stacks import alone, losses, records, stacked, together
from tests.train.stacked.test_against_single import CHEAP, DEAR, seeded

EXACT = {"precision": "fp32"}
# Dropout draws other masks here than the kernel of a run trained alone; all else is the same run.
CASES = {name: case for name, case in {**CHEAP, **DEAR}.items() if name != "dropout"}
ROUNDING = 1e-3  # relative: a GPU's products of other shapes round otherwise


def exact(keys: dict) -> dict:
    return {**keys, "train": {**keys["train"], **EXACT}}


def numbers(record) -> dict:
    """What a run has computed: its config names how it is launched."""
    return {name: value for name, value in essence(record).items() if name != "config"}


def launched(keys: dict, graph: str) -> dict:
    return {**keys, "train": {**keys["train"], "graph": graph}}


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


@pytest.mark.parametrize("case", [*CHEAP, *DEAR])
def test_replayed_steps_of_a_stack_are_its_steps(case, gpu, tmp_path):
    """Rows of members that have left stay in a graph, so that these stacks are of members of one length."""
    members = [{**keys, "train": {**keys["train"], "steps": 90}} for keys in {**CHEAP, **DEAR}[case]]
    runs = {graph: [stacked(launched(keys, graph)) for keys in members] for graph in ("auto", "off")}
    replayed, kernels = (records(runs[graph], tmp_path / graph, device="cuda") for graph in ("auto", "off"))
    assert {record.how["launch"] for record in replayed} == {"graph"}
    assert {record.how["launch"] for record in kernels} == {"eager"}
    found, wanted = ([{**essence(record), "config": {}} for record in way] for way in (replayed, kernels))
    assert found == wanted  # but for train.graph


def test_members_that_leave_a_graph_disturb_no_other(gpu, tmp_path):
    members = [
        {"train": {"steps": steps, "milestones": 3, **EXACT}, "seed": seed, "optim": {"is": "sgd", "lr": lr}}
        for seed, (steps, lr) in enumerate(((20, 0.1), (50, 0.2), (200, 1e30), (90, 0.05), (160, 0.1), (400, 0.1)))
    ]
    found = records([stacked(keys) for keys in members], tmp_path, device="cuda")
    assert [record.status for record in found] == ["finished", "finished", "diverged", *["finished"] * 3]
    for keys, record in zip(members, found, strict=True):
        assert record.how["launch"] == "graph"
        wanted = alone(keys, tmp_path / "alone", device="cuda")
        if record.status == "finished":
            assert losses(record) == pytest.approx(losses(wanted), rel=ROUNDING)
        assert record.points[-1].step == wanted.points[-1].step


@pytest.mark.parametrize("data", ["blobs", "teacher"])
def test_stacks_side_by_side_have_the_bits_of_each_alone(data, gpu, tmp_path):
    """On fresh examples, drawn by the runs' own thread, or by threads that pin them; one stream copies them for all."""
    models = [{"is": "mlp", "width": width, "depth": 2} for width in (8, 16, 32, 64)]
    keys = [[{"train": {"steps": 400 + 50 * i}, "seed": i, "model": model} for i in range(6)] for model in models]
    runs = [[stacked({**each, "data": {"is": data}}) for each in stack] for stack in keys]
    together = records([run for stack in runs for run in stack], tmp_path / "beside", device="cuda")
    each = [record for i, stack in enumerate(runs) for record in records(stack, tmp_path / str(i), device="cuda")]
    assert {record.how["launch"] for record in (*together, *each)} == {"graph"}
    assert [essence(record) for record in together] == [essence(record) for record in each]


def test_a_stopped_member_goes_on_alone(gpu, tmp_path, monkeypatch):
    monkeypatch.setattr("scaling.train.loop.TICK_SECONDS", 0.0)
    keys = {"train": {"steps": 200, **EXACT}, "model": {"is": "mlp", "width": 8, "depth": 1, "dropout": 0.1}}
    runs = [stacked({**keys, "seed": seed}) for seed in range(3)]
    ends = together(runs, tmp_path, stops={runs[0].run_id: stopped_after(77)}, device="cuda")
    assert [end.result is None for end in ends] == [True, False, False]
    went_on = train_run(runs[0], folder_of(runs[0], tmp_path), device="cuda")
    straight = train_run(runs[0], folder_of(runs[0], tmp_path / "straight"), device="cuda")
    assert losses(went_on) == pytest.approx(losses(straight), rel=ROUNDING)


@pytest.mark.parametrize("net", ["Waiting", "Counting"])
def test_what_cannot_be_captured_is_launched_as_before_and_it_is_said(net, gpu, tmp_path, caplog):
    keys = {"train": {"steps": 60}, "model": {"is": "custom", "module": f"tests.gpu.nets.{net}"}}
    try:
        found = records([stacked({**keys, "seed": seed}) for seed in range(3)], tmp_path / "a", device="cuda")
    except NotStackable:
        return  # such a module is trained one by one
    assert all(record.how["launch"].startswith("eager (no graph: ") for record in found)
    assert "kernel by kernel" in caplog.text
    [after, _] = records([stacked({"train": {"steps": 60}, "seed": seed}) for seed in (0, 1)], tmp_path, device="cuda")
    assert after.how["launch"] == "graph"


def test_a_large_stack_narrows_and_leaves_no_memory_behind(gpu, tmp_path):
    members = [{**keys, "train": {"steps": 20 + 4 * (i % 50)}, "seed": i} for i, keys in enumerate(seeded({}) * 30)]
    used = []
    for name in "abc":
        records([stacked(keys) for keys in members], tmp_path / name, device="cuda")
        used.append(torch.cuda.memory_allocated())
    assert used[1] == used[2]
