"""Real training on SLURM, struck in flight, ends in the same records, bit for bit, as here and undisturbed."""

from __future__ import annotations

import os
import signal
from dataclasses import replace

from scaling.config import read_config
from scaling.dispatch.single import run_single
from scaling.dispatch.worker import TRAIN
from scaling.folders import SweepFolder
from scaling.plan import PlannedRun, plan_run
from tests.dispatch.conftest import causes, leftovers, wait_for
from tests.slurm.sweeps import LAUNCHER, Flight

RUNS = 3


def planned(seed: int) -> PlannedRun:
    """Plan a run of a few seconds, with checkpoints every fifth of a second."""
    raw = {
        "model": {"_target_": "scaling.models.mlp.MLP", "width": 32, "depth": 2},
        "data": {"_target_": "scaling.data.teacher.Teacher"},
        "optim": {"_target_": "scaling.optim.adamw.AdamW", "lr": 1e-3},
        "schedule": {"_target_": "scaling.schedules.cosine.Cosine"},
        "augment": {"_target_": "scaling.augment.none.Unchanged"},
        "train": {"steps": 2000, "batch": 64, "device": "cpu", "milestones": 3, "checkpoint_seconds": 0.2},
        "seed": seed,
    }
    return plan_run(read_config(raw), overrides={"seed": seed})


def test_table_of_a_struck_sweep_is_the_undisturbed_one(cluster, tmp_path):
    runs = [planned(seed) for seed in range(RUNS)]
    flight = Flight(SweepFolder(tmp_path / "slurm", "sweep"), runs, replace(LAUNCHER, beat_seconds=0.2), TRAIN)
    flight.submit()
    wait_for(lambda: any(flight.files(run).checkpoint.exists() for run in runs), 120)
    os.kill(flight.working().process.pid, signal.SIGKILL)
    here = Flight(SweepFolder(tmp_path / "here", "sweep"), runs)
    for run in runs:
        run_single(here.folder, run)
    flight.landed(300)
    assert flight.records() == here.records()
    assert len(flight.records()) == RUNS
    told = [cause for run in runs for cause in causes(flight.folder, run)]
    assert sorted(told) == ["finished"] * RUNS + ["killed"]
    assert leftovers(flight.folder) == []
