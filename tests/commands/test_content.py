"""One id stands for one content: data and code that were changed are named, and nothing is mixed until told."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from scaling.content.code import fingerprint

NET = """\
from torch import nn
from helper_of_mine import SLOPE

class Net(nn.Module):
    def __init__(self, shape, outputs, width):
        super().__init__()
        self.first, self.head = nn.Linear(shape[0], width), nn.Linear(width, outputs)

    def forward(self, x):
        return self.head(nn.functional.leaky_relu(self.first(x), SLOPE))
"""
ONE = ("train.device=cpu", "launcher.workers=1", "train.batch=16")
DATA = ("data=npz", "data.file=mine.npz", "data.classes=2", "data.features=3", "data.examples=160")
SWEEP = (*DATA, *ONE, "train.steps=5", "model.depth=1", "name=mine")


def write_data(folder, seed, name="mine.npz"):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((200, 3)).astype(np.float32)
    np.savez(folder / name, x_train=x, y_train=(x[:, 0] > 0).astype(np.int64))


def losses(folder):
    found = {path.parent.name: json.loads(path.read_text()) for path in folder.glob("results/runs/*/record.json")}
    return {run_id: record["points"][-1]["loss"] for run_id, record in found.items()}


@pytest.fixture
def swept(scaling):
    write_data(scaling.folder, 0)
    scaling("run", *SWEEP, "model.width=8,16")
    return scaling


def test_other_data_under_the_same_name_is_named_and_not_mixed(swept):
    before = losses(swept.folder)
    assert "trained on" not in swept("plan", *SWEEP, "model.width=8,16")
    write_data(swept.folder, 1)
    said = swept("plan", *SWEEP, "model.width=8,16")
    assert "found 2 settled runs that were trained on other data than there is now" in said
    assert "--redo stale" in said
    plan = json.loads(swept("plan", *SWEEP, "model.width=8,16", "--json", "-"))
    assert plan["total"]["stale"] == 2
    assert {tuple(run["stale"]) for run in plan["runs"]} == {("data",)}
    said = swept("run", *SWEEP, "model.width=8,16,24", code=2)
    assert "wanted one content under one id" in said
    assert losses(swept.folder) == before

    swept("run", "--redo", "stale", *SWEEP, "model.width=8,16,24")
    after = losses(swept.folder)
    assert len(after) == 3
    assert all(after[run_id] != before[run_id] for run_id in before)
    swept("run", *SWEEP, "model.width=8,16,24")


def test_what_starts_from_a_run_of_other_data_is_trained_again_with_it(scaling):
    both = """\
sweep:
  grid: [{product: {model.width: [8]}}]
  stages: [{base: {stage: probe, data: npz, data.file: other.npz, data.classes: 2, data.features: 3,
                   data.examples: 160, train.steps: 5, train.batch: 16, optim.lr: 0.1}}]
"""
    (scaling.folder / "sweeps").mkdir()
    (scaling.folder / "sweeps/both.yaml").write_text(both)
    run = ("sweep=both", *DATA, *ONE, "train.steps=5", "model.depth=1")
    write_data(scaling.folder, 0)
    write_data(scaling.folder, 1, "other.npz")
    scaling("run", *run)
    before = losses(scaling.folder)
    write_data(scaling.folder, 2)
    plan = json.loads(scaling("plan", *run, "--json", "-"))
    assert [tuple(each["stale"]) for each in plan["runs"]] == [("data",), ("parent",)]
    parent, probe = (each["run_id"] for each in plan["runs"])
    shutil.copytree(scaling.folder / "results/runs" / probe, scaling.folder / "old")
    scaling("run", "--redo", "stale", *run)
    after = losses(scaling.folder)
    assert after[parent] != before[parent]
    assert after[probe] != before[probe]
    shutil.copy(scaling.folder / "old/record.json", scaling.folder / "results/runs" / probe / "record.json")
    said = scaling("run", *run, code=2)
    assert "found 1 settled run that was trained on other weights of a parent than there is now" in said


def test_tuning_takes_no_losses_on_other_data(scaling):
    tune = (
        "tune",
        *DATA,
        *ONE,
        "train.steps=5",
        "model.depth=1",
        "--range",
        "1e-2",
        "1e-1",
        "--tries",
        "1",
        "--no-widen",
    )
    write_data(scaling.folder, 0)
    scaling(*tune, "name=a")
    before = losses(scaling.folder)
    write_data(scaling.folder, 1)
    for name in ("a", "b"):  # the second proposes the same values
        assert "found 1 settled run that was trained on other data" in scaling(*tune, f"name={name}", code=2)
    scaling(*tune, "name=b", "data.version=2")
    assert len(losses(scaling.folder)) == 2
    assert before.items() <= losses(scaling.folder).items()


@pytest.mark.slow
def test_a_version_makes_runs_of_their_own_and_old_ones_may_be_left(swept):
    before = losses(swept.folder)
    write_data(swept.folder, 1)
    swept("run", *SWEEP, "model.width=8,16", "data.version=2")
    after = losses(swept.folder)
    assert len(after) == 4
    assert before.items() <= after.items()
    swept("run", "--keep-stale", *SWEEP, "model.width=8,16,24")
    assert before.items() <= losses(swept.folder).items()


@pytest.mark.slow
def test_the_same_data_elsewhere_is_the_same_and_no_data_is_no_reason(swept):
    before = losses(swept.folder)
    (swept.folder / "elsewhere").mkdir()
    shutil.move(swept.folder / "mine.npz", swept.folder / "elsewhere" / "mine.npz")
    assert "trained on" not in swept("plan", *SWEEP, "model.width=8,16")
    swept("run", *SWEEP, "model.width=8,16", "data.root=elsewhere")
    write_data(swept.folder, 1)
    assert "trained on other data" in swept("run", *SWEEP, "model.width=8,16", "data.root=.", code=2)
    assert losses(swept.folder) == before


def test_records_of_before_say_nothing_and_stay_readable(swept):
    for path in swept.folder.glob("results/runs/*/record.json"):
        record = json.loads(path.read_text())
        assert set(record.pop("content")) == {"data"}
        path.write_text(json.dumps(record))
    write_data(swept.folder, 1)
    assert "trained on" not in swept("plan", *SWEEP, "model.width=8,16")
    assert "2 were settled before" in swept("run", *SWEEP, "model.width=8,16")


@pytest.mark.slow
def test_a_helper_of_one_s_own_module_that_is_edited_is_other_code(scaling, monkeypatch):
    model = ("model=custom", "model.module=net_of_mine.Net", "data=teacher", "train.steps=3", *ONE, "name=own")
    monkeypatch.syspath_prepend(str(scaling.folder))
    (scaling.folder / "net_of_mine.py").write_text(NET)

    def edit(text):
        (scaling.folder / "helper_of_mine.py").write_text(text)
        fingerprint.cache_clear()  # as in a process that starts now

    edit("SLOPE = 0.1\n")
    scaling("run", *model, "model.width=4,6")
    [first, _] = [json.loads(path.read_text()) for path in scaling.folder.glob("results/runs/*/record.json")]
    assert set(first["content"]) == {"code"}
    edit("SLOPE = 0.1  # as before\n")
    assert "trained on" not in scaling("plan", *model, "model.width=4,6")
    edit("SLOPE = 0.2\n")
    said = scaling("run", *model, "model.width=4,6,8", code=2)
    assert "found 2 settled runs that were trained on other code of yours than there is now" in said
    assert "trained on" not in scaling("plan", *model, "model.width=4,6,8", "model.version=2")


@pytest.mark.slow
def test_a_settled_run_of_a_module_that_was_given_2_is_none_of_one_that_is_given_2_0(scaling, monkeypatch):
    monkeypatch.syspath_prepend(str(scaling.folder))
    layers = "nn.Sequential(nn.Flatten(), nn.LazyLinear(outputs))"
    net = f"from torch import nn\n\ndef made(outputs, kind=0):\n    return {layers}\n"
    (scaling.folder / "typed_net.py").write_text(net)
    model = ("model=custom", "model.module=typed_net.made", "data=teacher", "train.steps=3", *ONE, "name=own")
    scaling("run", *model, "model.kwargs={kind: 2}", "seed=0,1")
    assert "trained on" not in scaling("plan", *model, "model.kwargs={kind: 2}", "seed=0,1")
    said = scaling("run", *model, "model.kwargs={kind: 2.0}", "seed=0,1", code=2)
    assert "found 2 settled runs that were trained on 2 for 2.0 in model.kwargs than there is now" in said


def test_redo_takes_no_other_word(scaling):
    assert "wanted --redo stale, --redo milestones, or --redo alone" in scaling("run", "--redo=all_", *ONE, code=2)


@pytest.mark.slow
def test_what_c_code_prints_is_no_part_of_the_json(scaling):
    (scaling.folder / "loud_net.py").write_text("import os\nos.write(1, b'from C')\n" + NET)
    (scaling.folder / "helper_of_mine.py").write_text("SLOPE = 0.1\n")
    model = ("model=custom", "model.module=loud_net.Net", "data=teacher", "train.steps=3", "model.width=4")
    assert json.loads(scaling.outside("plan", *model, "--json", "-"))["total"]["runs"] == 1
