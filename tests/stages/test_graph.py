"""Stages in a sweep: planned for every run they start from, done once, in order, and read as one table."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

from analysis import fit
from scaling.compose.session import session
from scaling.errors import UserError
from scaling.folders import SweepFolder
from scaling.plan.expand import expand
from tests.dispatch.conftest import claims
from tests.waiting import wait_for, write_gate

SWEEP = """\
# Probes of a small pre-training.
defaults:
  - override /data: digits
  - override /schedule: constant
model: {depth: 1}
train: {batch: 40, device: cpu}
sweep:
  grid:
    - product: {model.width: [6, 12, 24], train.epochs: [16], train.milestones: [[2, 4, 8, 16]], seed: [0]}
  set: {optim.lr: 2e-3 * (width / 16) ** -0.5}
  stages:
    - name: probe
      at: milestones
      base: {stage: probe, optim.lr: 1.0e-2, schedule: constant, train.epochs: 10, train.batch: 100, train.device: cpu}
    - name: tuned
      base: {stage: finetune, data.size: 300, optim.lr: 1.0e-3, train.epochs: 2, train.batch: 50, train.device: cpu}
      where: width > 6
    - name: crops
      of: tuned
      base: {stage: tta, train.device: cpu}
      grid: [{product: {stage.crops: [2, 4]}}]
"""


def planned(*arguments):
    with session() as loader:
        return expand(loader, arguments)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sweeps").mkdir()
    (tmp_path / "sweeps" / "graph.yaml").write_text(SWEEP)
    return tmp_path


def test_every_stage_is_planned_for_all_that_it_starts_from(here):
    plan = planned("sweep=graph")
    tasks = [run.task for run in plan.runs]
    assert [tasks.count(name) for name in ("test", "probe:digits", "tuned:digits", "crops:digits")] == [3, 12, 2, 4]
    assert [cell.reason for cell in plan.dropped] == ["where: width > 6 (width = 6)"]
    by_id = {run.run_id: run for run in plan.runs}
    assert len(by_id) == 21
    for run in plan.runs[:3]:
        assert run.config.train.keep == "milestones"
    for run in plan.runs[3:]:
        parent = by_id[run.config.parent.run_id]
        assert run.config.parent.step in parent.kept_steps
        assert run.config.model == parent.config.model
        row, origin = run.row(), run.origin.row()
        same = ("family", "width", "N", "optim", "lr_rule", "schedule", "batch", "seed", "data")
        assert {name: row[name] for name in same} == {name: origin[name] for name in same}
    assert planned("sweep=graph").runs[7].run_id == plan.runs[7].run_id


def test_planning_is_the_same_without_stages_but_for_what_is_kept(here):
    (here / "sweeps" / "plain.yaml").write_text(SWEEP.split("  stages:")[0])
    with_stages, plain = planned("sweep=graph").runs[:3], planned("sweep=plain").runs
    assert [run.run_id for run in with_stages] == [run.run_id for run in plain]
    assert {run.config.train.keep for run in plain} == {"none"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- {name: a}", "without base.stage"),
        ("- {name: a, base: {stage: prob}}", "did you mean stage=probe"),
        ("- {name: a, of: b, base: {stage: probe}}", "stage a of 'b'"),
        ("- {name: a, at: end, base: {stage: probe}}", "last or milestones"),
        ("- {name: a, bse: {stage: probe}}", "unknown key sweep.stages.bse"),
        ("- {name: a, base: {stage: probe, model.width: 3}}", "model.width in stage a"),
        ("- {name: train, base: {stage: probe}}", "two stages called train"),
        ("- {name: a, base: {stage: ridge}}\n    - {name: b, of: a, base: {stage: probe}}", "trains no network"),
    ],
)
def test_bad_stages_are_one_sentence(here, text, said):
    (here / "sweeps" / "bad.yaml").write_text(SWEEP.split("    - name: probe")[0] + f"    {text}\n")
    with pytest.raises(UserError) as caught:
        planned("sweep=bad")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def trained(results) -> dict[str, tuple[int, int]]:
    """Return for each run when its record was written and how often it was tried."""
    return {
        path.parent.name: (path.stat().st_mtime_ns, len((path.parent / "attempts.jsonl").read_text().splitlines()))
        for path in results.glob("runs/*/record.json")
    }


@pytest.mark.slow
def test_a_graph_is_done_once_and_its_probes_errors_follow_a_law(scaling, tmp_path, monkeypatch):
    """The whole way: run, kill the dispatcher and its workers, run again, run once more, table, fit."""
    monkeypatch.syspath_prepend(tmp_path)  # where the rule of the rate lies that lets the first stage wait
    gate, folder = write_gate(tmp_path), SweepFolder(tmp_path / "results", "graph")
    (tmp_path / "sweeps").mkdir()
    (tmp_path / "sweeps" / "graph.yaml").write_text(SWEEP.replace("schedule: constant", "schedule: waiting", 1))
    results = folder.results
    command = [sys.executable, "-m", "scaling", "run", "sweep=graph", "launcher.workers=2"]
    dispatcher = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL)
    try:  # two runs at work that have kept what they can before their last step
        wait_for(lambda: len(claims(folder)) == 2 and len(list(results.glob("runs/*/checkpoints/*"))) == 2 * 3)
    finally:
        dispatcher.kill()
        dispatcher.wait()
    for worker in [claim.process for claim in claims(folder)]:
        os.kill(worker.pid, signal.SIGKILL)
        wait_for(lambda worker=worker: worker.gone)
    gate.touch()
    assert trained(results) == {}
    scaling("run", "sweep=graph", "launcher.workers=2")
    first = trained(results)
    assert len(first) == 21
    said = scaling("run", "sweep=graph", "launcher.workers=2")
    assert "21/21 runs settled: 0 now" in said
    assert trained(results) == first
    begun = {
        path.parent.name: json.loads(path.read_text())["how"]["finished_at"]
        for path in results.glob("runs/*/record.json")
    }
    plan = {row["run_id"]: row for row in _plan(results)}
    for run_id, row in plan.items():
        if row["parent"]:
            assert begun[row["parent"]] <= begun[run_id]
    _table(results)
    law = fit(results / "graph", "power", y="error", x="C", rows="all", task="probe:digits", resamples=0)
    assert 0 < law.params["alpha"] < 5


def _plan(results):
    import csv

    with (results / "graph" / "plan.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def _table(results):
    from analysis import load_table
    from analysis.table.select import select_rows

    table = load_table(results / "graph")
    assert not table.duplicated(["run_id", "step", "task"]).any()
    assert table["task"].value_counts().to_dict() == {
        "test": 12, "probe:digits": 12, "crops:digits": 4, "tuned:digits": 2,
    }  # fmt: skip
    test, probe = table[table["task"] == "test"], table[table["task"] == "probe:digits"]
    both = probe.merge(test, left_on=["origin", "step"], right_on=["run_id", "step"], suffixes=("", "_origin"))
    assert len(both) == 12
    for name in ("N", "D", "C", "epochs", "run_C", "final", "width"):
        assert (both[name] == both[f"{name}_origin"]).all(), name
    rows, _ = select_rows(table, y="error", rows="all", task="probe:digits")
    assert len(rows) == 12
    assert (rows.sort_values("C")["error"].iloc[0] > rows.sort_values("C")["error"].iloc[-1]).all()


def test_a_file_that_a_later_stage_reads_is_asked_for_before_anything_is_trained(scaling, tmp_path):
    (tmp_path / "sweeps").mkdir()
    listed = "\n    - {name: listed, base: {stage: real, stage.labels: own.json, train.device: cpu}}\n"
    (tmp_path / "sweeps" / "graph.yaml").write_text(SWEEP.rstrip() + listed)
    assert "found no file own.json, which stage=real reads" in scaling("run", "sweep=graph", code=2)
    assert not list(tmp_path.rglob("record.json"))


@pytest.mark.slow
def test_what_starts_from_a_run_that_diverged_is_blocked_with_the_reason(scaling, tmp_path):
    (tmp_path / "sweeps").mkdir()
    sweep = SWEEP.replace("[6, 12, 24]", "[6]").replace("2e-3 * (width / 16) ** -0.5", "'1e30'")
    (tmp_path / "sweeps" / "graph.yaml").write_text(sweep.split("    - name: tuned")[0])
    said = " ".join(scaling("run", "sweep=graph", "launcher.workers=1", "optim=sgd", code=1).split())
    status = json.loads(scaling("status", "results/graph", "--json", "-"))
    assert status["counts"]["diverged"] == 1
    blocked = [run for run in status["runs"] if run["cause"] == "blocked"]
    assert len(blocked) == 4
    assert "diverged before step" in blocked[0]["error"]
    assert said == "" or "blocked" in said


@pytest.mark.slow
def test_a_settled_parent_is_trained_again_only_for_weights_that_are_needed(here):
    from scaling.dispatch.launchers import Local
    from scaling.dispatch.order import order_of
    from scaling.folders import SweepFolder
    from scaling.train.run import train_run
    from tests.dispatch.conftest import run_quietly

    (here / "sweeps" / "small.yaml").write_text(
        SWEEP.replace("[6, 12, 24]", "[6]").split("    - name: tuned")[0].replace("at: milestones", "at: last")
    )
    plan = planned("sweep=small")
    parent, child = plan.runs
    folder = SweepFolder((here / "results").resolve(), "small")
    for run in plan.runs:
        train_run(run, folder.run(run.run_id), device="cpu")
    kept = folder.run(parent.run_id).kept_weights(parent.quantities.steps)
    weights = kept.read_bytes()
    kept.unlink()
    assert [entry.keeps for entry in order_of(folder, plan.runs).entries] == [(), ()]  # nothing needs them
    folder.run(child.run_id).record.unlink()
    assert [entry.keeps for entry in order_of(folder, plan.runs).entries] == [(parent.quantities.steps,), ()]
    outcome = run_quietly(order_of(folder, plan.runs), Local(workers=1))
    assert (outcome.settled, outcome.found) == (2, 0)
    assert kept.read_bytes() == weights
