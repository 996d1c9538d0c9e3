"""A run that has ended, however it has, holds neither data nor model: the next one needs their memory at once."""

from __future__ import annotations

import gc

import pytest
import torch
from torch import nn

from scaling.dispatch.claims.heartbeat import Heartbeat
from scaling.dispatch.claims.stop import Stop
from scaling.dispatch.order import order_of
from scaling.dispatch.queue import write_queue
from scaling.dispatch.stacks.claim_stack import StackingWorker
from scaling.dispatch.task import Task
from scaling.folders import SweepFolder
from scaling.train.feed.mapped import Held
from scaling.train.loop import Trainer
from scaling.train.run import train_run
from tests.stages.family import child_run, done, parent_run
from tests.train.runs import folder_of, planned, stopped_after

HEAVY = (Held, nn.Module, torch.optim.Optimizer, Trainer)
EPOCHS = {"is": "blobs", "size": 100}
RUNS = {
    "epochs": planned({"steps": 20, "milestones": 3, "checkpoint_seconds": 0.0}, data=EPOCHS),
    "bf16": planned({"steps": 20, "precision": "bf16"}),
    "diverged": planned({"steps": 80}, optim={"is": "sgd", "lr": 1e30}),
    "exact": planned(
        {"steps": 2}, model={"is": "linear", "width": 4}, data={"is": "line", "size": 64}, optim={"is": "lstsq"}
    ),
}


@pytest.fixture(scope="module", autouse=True)
def old_objects_apart():
    """Look for garbage among new objects alone: those of all tests before are many, and looked through at each look."""
    gc.collect()
    gc.freeze()


def left_by(work) -> list[str]:
    """Return what heavy objects are alive after some work, without the cycle collector's help."""
    gc.collect()
    before = {id(found) for found in gc.get_objects() if isinstance(found, HEAVY)}
    gc.disable()
    try:
        work()
        return [type(o).__name__ for o in gc.get_objects() if isinstance(o, HEAVY) and id(o) not in before]
    finally:
        gc.enable()


@pytest.mark.parametrize("kind", RUNS)
def test_a_run_leaves_nothing(kind, tmp_path):
    run = RUNS[kind]
    assert left_by(lambda: train_run(run, folder_of(run, tmp_path), device="cpu")) == []


def test_a_stopped_run_leaves_nothing(tmp_path, every_step):
    run = planned({"steps": 200}, data=EPOCHS)
    folder = folder_of(run, tmp_path)
    assert left_by(lambda: train_run(run, folder, device="cpu", stop=stopped_after(100))) == []
    assert folder.checkpoint.exists()


@pytest.mark.parametrize("stage", ["probe", "finetune", "ridge", {"is": "tta", "crops": 2}], ids=str)
def test_a_stage_leaves_nothing(stage, tmp_path):
    parent = parent_run()
    done(parent, tmp_path)
    run = child_run(parent, stage)
    assert left_by(lambda: train_run(run, folder_of(run, tmp_path), device="cpu")) == []


def test_a_failed_run_leaves_nothing_to_its_worker(tmp_path):
    run = planned({"steps": 20, "micro_batch": 16}, model={"is": "mlp", "width": 8, "depth": 1, "norm": "batch"})
    folder, stop = SweepFolder(tmp_path / "results", "sweep"), Stop()
    queue = folder.path / "queue.jsonl"
    write_queue(queue, order_of(folder, [run]).entries)
    worker = StackingWorker(Task(folder, queue), stop=stop, heartbeat=Heartbeat(stop))
    assert left_by(worker.work) == []
    assert worker.report.failed == 1
