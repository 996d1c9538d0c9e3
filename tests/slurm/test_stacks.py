"""Runs of one shape, trained together by jobs of SLURM, one of which dies, are the runs that are trained alone here."""

from __future__ import annotations

import json
import os
import signal

import pytest

from scaling.dispatch.claims.claim import read_claim
from scaling.dispatch.slurm import scheduler
from scaling.folders import SweepFolder, read_lines
from scaling.record import read_record
from tests.dispatch.conftest import leftovers
from tests.slurm.sweeps import ended
from tests.train.stacked.stacks import losses
from tests.waiting import wait_for, write_gate

SWEEP = """\
# One shape, four rates, two seeds, two lengths.
defaults:
  - override /data: digits
  - override /schedule: waiting
model: {depth: 1, width: 8}
train: {batch: 40, engine: stacked, milestones: {unit: steps, at: [64]}}
sweep:
  grid:
    - product: {optim.lr: [1.0e-3, 3.0e-3, 1.0e-2, 3.0e-2], seed: [0, 1], train.steps: [100, 120]}
"""
RUNS = 16
RUN = ("run", "sweep=shape", "train.device=cpu", "train.checkpoint_seconds=0")
SLURM = ("launcher=slurm", "launcher.jobs=2", "launcher.gpus=0", "launcher.cpus=1", "launcher.min_memory_gb=0.5")
SLURM = (*SLURM, "launcher.beat_seconds=0.5", "launcher.signal_seconds=30", "--json", "-")


def test_a_stack_dies_in_a_job_and_its_runs_end_in_others(cluster, scaling):
    (scaling.folder / "sweeps").mkdir()
    (scaling.folder / "sweeps" / "shape.yaml").write_text(SWEEP)
    gate = write_gate(scaling.folder)
    folder, here = (SweepFolder(scaling.folder / name, "shape") for name in ("results", "here"))
    assert json.loads(scaling.outside(*RUN, *SLURM))["queued"] == RUNS
    wait_for(lambda: len(list(folder.results.glob("runs/*/checkpoint"))) == RUNS)
    claimed = {path.parent.name: read_claim(path) for path in folder.results.glob("runs/*/claim.json")}
    workers = {claim.process.pid: claim for claim in claimed.values()}
    assert len(workers) == 2  # both have their share
    pid, claim = next(iter(workers.items()))
    struck = {run_id for run_id, held in claimed.items() if held.process.pid == pid}
    assert claim.stack == len(struck) > 1
    os.kill(pid, signal.SIGKILL)
    ended(claim)
    gate.touch()
    scaling.outside(*RUN, "results=here", "train.stack=1", "launcher.workers=2")
    wait_for(lambda: scheduler.all_jobs() == {}, 600)
    for run_id in claimed:
        told = [attempt["cause"] for attempt in read_lines(folder.run(run_id).attempts)]
        assert told == (["stack_died"] if run_id in struck else []) + ["finished"]
        found, wanted = (read_record(each.run(run_id)) for each in (folder, here))
        assert wanted.how["stack"] == 1
        assert losses(found) == pytest.approx(losses(wanted), rel=2e-5)
    assert leftovers(folder) == []
