"""Suggest, run, look back: rounds of real runs, within their limit, and taken up again."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml

SWEEP = """\
# Does it work?
defaults: [override /data: teacher]
model: {depth: 1}
train: {device: cpu, batch: 16}
launcher: {workers: 1}
sweep:
  grid:
    - product: {model.width: [4, 8, 16], train.budget: [4.0e+5, 8.0e+5, 1.6e+6], seed: [0]}
  set: {optim.lr: 1e-2 * (width / 8) ** -0.5}
"""
ASKED = ("results/tiny", "--target", "C=1e7", "--limit", "flops=6e6", "--most", "3")


@pytest.fixture(scope="module")
def swept(make_command_line):
    """A folder in which a small sweep was planned and run."""
    scaling = make_command_line("rounds")
    (scaling.folder / "sweeps").mkdir()
    (scaling.folder / "sweeps" / "tiny.yaml").write_text(SWEEP)
    scaling("run", "sweep=tiny")
    return scaling


@pytest.fixture
def tiny(swept, scaling):
    """The same folder, one's own."""
    shutil.copytree(swept.folder, scaling.folder, dirs_exist_ok=True)
    return scaling


def plan_of(scaling, *arguments: str) -> dict:
    return json.loads(scaling("plan", *arguments, "--json", "-"))


def test_models_of_a_sweep_are_measured_without_a_change_of_its_plan(tiny):
    files = [tiny.folder / "results" / "tiny" / name for name in ("plan.csv", "forecast.csv", "sweep.yaml")]
    before = [path.read_bytes() for path in files]
    tiny("measure", "sweep=tiny", "seed=7", "model.width=8", "--device", "cpu")
    assert [path.read_bytes() for path in files] == before


def test_a_suggestion_is_a_sweep_file_that_adds_its_runs_to_the_sweep(tiny):
    found = json.loads(tiny("suggest", *ASKED, "--json", "-"))
    assert 0 < len(found["runs"]) <= 3
    plan = plan_of(tiny, "sweep=tiny-next")
    pending = {run["run_id"]: run for run in plan["runs"] if run["status"] == "pending"}
    assert set(pending) == set(found["runs"])
    assert plan["total"]["finished"] == 9
    assert "forecast:" not in tiny("plan", "sweep=tiny")  # nothing is ahead
    assert "forecast:" in tiny("plan", "sweep=tiny-next")
    assert sum(run["C"] for run in pending.values()) == pytest.approx(found["cost"])
    assert found["cost"] <= 6e6
    assert plan["name"] == "tiny"
    overrides = {run_id: " ".join(run["overrides"]) for run_id, run in pending.items()}
    assert dict(zip(found["runs"], found["labels"], strict=True)) == overrides
    said = tiny("suggest", *ASKED)
    ledger = json.loads(tiny("ledger", "results/tiny", "--json", "-"))
    assert [(run["round"], run["label"]) for run in ledger["runs"]] == [("002", label) for label in found["labels"]]
    assert all(" ".join(run["overrides"]) in said for run in pending.values())
    text = (tiny.folder / "sweeps" / "tiny-next.yaml").read_text()
    assert text.startswith(
        "# Does it work?\n#\n# Runs      those of tiny, and the runs that narrow the interval of loss at C=1e7"
    )
    assert yaml.safe_load(text)["sweep"]["grid"][-1]["list"][0].keys() == {"model.width", "train.budget", "seed"}


@pytest.mark.slow
def test_axes_are_carried_on_within_bounds_and_settled_runs_are_no_candidates(tiny):
    tiny("suggest", *ASKED, "--bounds", "model.width=4:16", "--bounds", "train.budget=4e5:3.2e6")
    listed = (tiny.folder / "results/tiny/next/candidates.csv").read_text()
    assert "model.width=32" not in listed
    assert "train.budget=3.2e+06" in listed
    settled = {path.parent.name for path in tiny.folder.glob("results/runs/*/record.json")}
    assert not any(run_id in listed for run_id in settled)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        (("--limit", "flops=10"), 3, "more than the limit of 10"),
        (("--limit", "dollars=10"), 2, "wanted flops=1e12 or gpu_hours=2"),
        (("--bounds", "model.width=8"), 2, "wanted KEY=LOW:HIGH"),
        (("--bounds", "model.depth=1:4"), 2, "wanted an axis of the sweep"),
        (("--bounds", "seed=1:4"), 2, "other than seeds"),
        (("--bounds", "model.width=9:15"), 2, "between two steps of the axis"),
        (("--bounds", "model.width=4:100000", "--bounds", "train.budget=1e-9:1e30"), 2, "give --bounds"),
        (("-o", "mine.yaml"), 2, "folder sweeps"),
        (("--law", "nonsense"), 2, "nonsense"),
        (("--fix", "zeta=1"), 2, "no parameter 'zeta' in "),
        (("--tie", "alpha"), 2, "wanted --fix E=1.6 or --tie alpha=beta"),
    ],
)
def test_what_cannot_be_is_told_in_one_sentence(tiny, change, code, said):
    assert said in tiny("suggest", *ASKED, *change, code=code)
    assert not (tiny.folder / "results/tiny/rounds").exists()


@pytest.mark.slow
def test_rounds_go_on_where_they_were_left_and_keep_to_the_limit(tiny):
    """A round that was kept and not run, as after a kill, is run first; the limit counts all rounds."""
    asked = (*ASKED, "--until", "1e-9", "--rounds", "2", "--json", "-")
    first = json.loads(tiny("extend", *asked[:-3], "1", "--json", "-"))
    assert len(first["rounds"]) == 1
    [kept] = tiny.folder.glob("results/tiny/rounds/001")
    before = {path: path.read_bytes() for path in tiny.folder.glob("results/runs/*/record.json")}
    (kept / "outcome.json").unlink()
    Path(tiny.folder / "sweeps/tiny-next.yaml").unlink()
    found = json.loads(tiny("extend", *asked))
    assert [one["round"] for one in found["rounds"]] == ["001", "002"]
    assert found["rounds"][0]["runs"] == first["rounds"][0]["runs"]
    assert (
        before.items() <= {path: path.read_bytes() for path in tiny.folder.glob("results/runs/*/record.json")}.items()
    )
    assert found["spent"] == pytest.approx(sum(one["cost"] for one in found["rounds"]))
    assert found["spent"] <= 6e6
    for one in found["rounds"]:
        assert {run["status"] for run in one["outcome"]["runs"].values()} == {"finished"}
    ledger = json.loads(tiny("ledger", "results/tiny", "--json", "-"))
    assert [run["run_id"] for run in ledger["runs"]] == [run for one in found["rounds"] for run in one["runs"]]
    assert all(run["inside"] == (run["interval"][0] <= run["actual"] <= run["interval"][1]) for run in ledger["runs"])
    assert 0 <= ledger["inside"] <= 1


@pytest.mark.slow
def test_a_sweep_that_was_run_again_without_its_rounds_has_them_again(tiny):
    """Their forecasts are scored meanwhile; where the sweep is another one, its rounds are not of it."""
    asked = (*ASKED, "--until", "1e-9", "--json", "-")
    [first] = json.loads(tiny("extend", *asked, "--rounds", "1"))["rounds"]
    tiny("run", "sweep=tiny")
    Path(tiny.folder / "sweeps/tiny-next.yaml").unlink()
    ledger = json.loads(tiny("ledger", "results/tiny", "--json", "-"))
    assert {run["status"] for run in ledger["runs"]} == {"finished"}
    _, second = json.loads(tiny("extend", *asked, "--rounds", "2"))["rounds"]
    plan = plan_of(tiny, "sweep=tiny-next")
    assert plan["total"]["finished"] == 9 + len(first["runs"]) + len(second["runs"])
    assert set(first["runs"]) < {run["run_id"] for run in plan["runs"]}
    (tiny.folder / "sweeps/tiny.yaml").write_text(SWEEP.replace("batch: 16", "batch: 8"))
    tiny("run", "sweep=tiny")
    assert "wanted the sweep that they were chosen for" in tiny("extend", *asked, "--rounds", "3", code=2)


@pytest.mark.slow
def test_of_two_that_extend_a_sweep_at_once_one_waits(tiny):
    asked = (*ASKED, "--until", "1e-9", "--rounds", "1", "--json", "-")
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda _: json.loads(tiny.outside("extend", *asked)), range(2)))
    assert [len(one["rounds"]) for one in both] == [1, 1]
    assert both[0] == both[1]


@pytest.mark.slow
def test_a_suggestion_that_was_never_run_is_no_part_of_the_next(tiny):
    tiny("extend", *ASKED, "--until", "1e-9", "--rounds", "1")
    written = tiny.folder / "sweeps/tiny-next.yaml"
    tiny("suggest", *ASKED)
    first = written.read_text()
    tiny("suggest", *ASKED)
    assert written.read_text() == first
    written.unlink()
    tiny("suggest", *ASKED)
    assert written.read_text() == first


@pytest.mark.slow
def test_what_is_known_well_enough_is_not_extended(tiny):
    found = json.loads(tiny("extend", *ASKED, "--until", "100", "--json", "-"))
    assert "known well enough" in found["ended"]
    assert found["rounds"] == []


def test_a_ledger_without_rounds_is_told(tiny):
    assert "found no rounds" in tiny("ledger", "results/tiny", code=2)
