"""A graph of stages on SLURM ends in the table of the same graph here, also where a worker dies under a child."""

from __future__ import annotations

import csv
import json
import os
import signal

import pytest
from pandas.testing import assert_frame_equal

from analysis import load_table
from scaling.dispatch.claims.claim import read_claim
from scaling.dispatch.slurm import scheduler
from scaling.dispatch.states.read_state import read_status
from scaling.folders import SweepFolder, read_lines
from tests.dispatch.conftest import leftovers
from tests.slurm.sweeps import ended
from tests.waiting import wait_for, write_gate

SWEEP = """\
# Probes, closed-form heads, fine-tuning and its test-time augmentation, of a small pre-training.
defaults:
  - override /data: digits
  - override /schedule: constant
model: {depth: 1}
train: {batch: 40}
sweep:
  grid:
    - product: {model.width: [6, 12], train.epochs: [4], train.milestones: [[2, 4]], seed: [0]}
  stages:
    - name: probe
      at: milestones
      base: {stage: probe, optim.lr: 1.0e-2, schedule: constant, train.epochs: 2, train.batch: 100}
    - name: fewshot
      base: {stage: ridge, stage.shots: 5}
    - name: tuned
      base: {stage: finetune, schedule: waiting, train.epochs: 4, train.batch: 50, train.milestones: [2, 4]}
    - name: crops
      of: tuned
      base: {stage: tta, stage.crops: 2}
"""
RUNS = 12
RUN = ("run", "sweep=graph", "train.device=cpu", "train.checkpoint_seconds=0")
SLURM = ("launcher=slurm", "launcher.jobs=2", "launcher.gpus=0", "launcher.cpus=1", "launcher.min_memory_gb=0.5")
SLURM = (*SLURM, "launcher.beat_seconds=0.5", "launcher.signal_seconds=30", "--json", "-")


@pytest.fixture
def gate(scaling):
    """Write the sweep down, and return the file that lets its fine-tuning end."""
    (scaling.folder / "sweeps").mkdir()
    (scaling.folder / "sweeps" / "graph.yaml").write_text(SWEEP)
    return write_gate(scaling.folder)


def table(folder: SweepFolder):
    """Return the table without what hangs on clock and machine."""
    found = load_table(folder.path)
    record = json.loads(folder.run(found["run_id"][0]).record.read_text())
    return found.drop(columns=[name for name in record["how"] if name in found])


def test_a_worker_dies_under_a_child(cluster, scaling, gate):
    folder, here = (SweepFolder(scaling.folder / name, "graph") for name in ("results", "here"))
    assert json.loads(scaling.outside(*RUN, *SLURM))["queued"] == RUNS
    assert json.loads(scaling.outside(*RUN, *SLURM))["queued"] == 0
    with folder.plan.open(newline="") as file:
        runs = {row["run_id"]: row for row in csv.DictReader(file)}
    tuned = [folder.run(run_id) for run_id in runs if runs[run_id]["task"] == "tuned:digits"]
    wait_for(lambda: any(files.checkpoint.exists() for files in tuned))
    struck = next(files for files in tuned if files.checkpoint.exists())
    claim = read_claim(struck.claim)
    os.kill(claim.process.pid, signal.SIGKILL)
    ended(claim)
    gate.touch()
    scaling.outside(*RUN, "results=here", "launcher.workers=2")
    wait_for(lambda: scheduler.all_jobs() == {}, 600)
    assert_frame_equal(table(folder), table(here))
    ends = {run_id: list(read_lines(folder.run(run_id).attempts)) for run_id in runs}
    told = {run_id: [attempt["cause"] for attempt in attempts] for run_id, attempts in ends.items()}
    assert told == {**{run_id: ["finished"] for run_id in runs}, struck.run_id: ["killed", "finished"]}
    for run_id, row in runs.items():
        assert not row["parent"] or ends[row["parent"]][-1]["end"] <= ends[run_id][0]["start"]
    assert leftovers(folder) == []
    again = json.loads(scaling.outside(*RUN, *SLURM))
    assert (again["settled"], again["queued"], again["jobs"]) == (RUNS, 0, None)


@pytest.mark.slow
def test_stages_are_added_while_what_they_start_from_is_in_the_queue(cluster, scaling, gate):
    folder, sweep = SweepFolder(scaling.folder / "results", "graph"), scaling.folder / "sweeps" / "graph.yaml"
    sweep.write_text(SWEEP.partition("  stages:")[0])
    assert json.loads(scaling.outside(*RUN, "schedule=waiting", *SLURM))["queued"] == 2
    wait_for(lambda: list(folder.results.glob("runs/*/checkpoint")))
    sweep.write_text(SWEEP)
    assert json.loads(scaling.outside(*RUN, "schedule=waiting", *SLURM))["queued"] == RUNS
    gate.touch()
    wait_for(lambda: scheduler.all_jobs() == {}, 600)
    assert read_status(folder).counts["finished"] == RUNS
