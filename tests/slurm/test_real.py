"""Real training on SLURM, struck in flight, ends in the same records, bit for bit, as here and undisturbed."""

from __future__ import annotations

import os
import signal

from scaling.config import read_config
from scaling.dispatch.launchers import Local
from scaling.dispatch.order import order_of
from scaling.dispatch.single import run_single
from scaling.folders import RunFolder, SweepFolder
from scaling.plan.planned import PlannedRun, plan_run
from scaling.train import train_by_steps
from scaling.train.output.checkpoint import write_checkpoint
from scaling.train.run import train_run
from tests.dispatch.conftest import causes, leftovers
from tests.dispatch.stand_in import hold
from tests.slurm.sweeps import Flight, ended

RUNS = 3


def planned(seed: int) -> PlannedRun:
    """Plan a short run that has a checkpoint at its first milestone."""
    raw = {
        "model": {"_target_": "scaling.models.mlp.MLP", "width": 32, "depth": 2},
        "data": {"_target_": "scaling.data.teacher.Teacher"},
        "optim": {"_target_": "scaling.optim.adamw.AdamW", "lr": 1e-3},
        "schedule": {"_target_": "scaling.schedules.cosine.Cosine"},
        "augment": {"_target_": "scaling.augment.none.Unchanged"},
        "train": {"steps": 1000, "batch": 64, "device": "cpu", "milestones": 3, "checkpoint_seconds": 0.0},
        "seed": seed,
    }
    return plan_run(read_config(raw), overrides={"seed": seed})


def train_held(run: PlannedRun, folder: RunFolder, *, stop, **how):
    """Train for real, and wait with every checkpoint on disk until the run's gate is open."""

    def save(*state) -> None:
        write_checkpoint(*state)
        hold(folder, stop)

    train_by_steps.write_checkpoint = save
    return train_run(run, folder, stop=stop, **how)


def test_table_of_a_struck_sweep_is_the_undisturbed_one(cluster, tmp_path):
    runs = [planned(seed) for seed in range(RUNS)]
    flight = Flight(SweepFolder(tmp_path / "slurm", "sweep"), runs, train="tests.slurm.test_real:train_held")
    flight.submit()
    claim = flight.working()
    os.kill(claim.process.pid, signal.SIGKILL)
    ended(claim)
    flight.open()
    here = Flight(SweepFolder(tmp_path / "here", "sweep"), runs)
    for run in runs:
        run_single(order_of(here.folder, [run], single=True), Local())
    flight.landed()
    assert flight.records() == here.records()
    assert len(flight.records()) == RUNS
    told = [causes(flight.folder, run) for run in runs]
    assert sorted(told) == [["finished"]] * (RUNS - 1) + [["killed", "finished"]]
    assert leftovers(flight.folder) == []
