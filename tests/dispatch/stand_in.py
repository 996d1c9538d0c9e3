"""A training loop that trains nothing: ten steps, checkpoints and records like the real one's.

What a run does is said by its overrides: act=steps, hold, crash, diverge, die, full, memory or refuse. A run that
holds goes to its third step and on from there when its gate is opened: whatever is done to it meanwhile finds it under
way, with a checkpoint, on a fast machine and on a busy one. Every run that is trained to its end leaves a line in
trained.txt, so that tests can count.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import sys
from dataclasses import dataclass, fields
from pathlib import Path

# What runs are made of: imported here once, so that no worker, forked from what has imported this, does so again.
import scaling.augment.none
import scaling.data.teacher
import scaling.models.mlp
import scaling.optim.adamw
import scaling.schedules.cosine  # noqa: F401
from scaling.config import read_config
from scaling.dispatch.process import host
from scaling.dispatch.slurm.scheduler import own_job
from scaling.errors import UserError
from scaling.folders import RunFolder, append_line, write_atomically
from scaling.plan.planned import PlannedRun, plan_run
from scaling.record import Point
from scaling.security import worker_reuse
from tests.waiting import wait_for

STEPS = 10
HELD = 3  # the step that is held


@dataclass
class Progress:
    step: int
    steps: int
    D: int
    loss: float
    examples_per_second: float


@dataclass
class Record:
    status: str


class OutOfMemory(UserError):
    pass


def planned(seed: int, act: str = "steps", *, model: str = "scaling.models.mlp.MLP", device: str = "cpu") -> PlannedRun:
    """Plan a tiny run that acts as said."""
    raw = {
        "model": {"_target_": model, "width": 8, "depth": 1},
        "data": {"_target_": "scaling.data.teacher.Teacher"},
        "optim": {"_target_": "scaling.optim.adamw.AdamW", "lr": 1e-3},
        "schedule": {"_target_": "scaling.schedules.cosine.Cosine"},
        "augment": {"_target_": "scaling.augment.none.Unchanged"},
        "train": {"steps": STEPS, "batch": 32, "device": device},
        "seed": seed,
    }
    return plan_run(read_config(raw), overrides={"seed": seed, "act": act})


def read_checkpoint(folder) -> tuple[int, str]:
    """Return where to go on, and with what; from the start where the checkpoint is cut."""
    try:
        state = json.loads(folder.checkpoint.read_text())
    except (FileNotFoundError, ValueError):
        return 0, "start"
    return state["step"], state["weights"]


def gate(folder: RunFolder) -> Path:
    return folder.path / "gate"


def hold(folder: RunFolder, stop=None) -> None:
    """Wait until the gate is opened, or the run is asked to stop."""
    wait_for(lambda: gate(folder).exists() or (stop is not None and stop()), 1800)


def stand_in_record(run_id: str, status: str = "finished", *, loss: float = 1.0, seconds: float = 1.0) -> dict:
    """Return a whole record, as JSON has it, of a run that was never trained."""
    point = {**dict.fromkeys(f.name for f in fields(Point)), "step": STEPS, "loss": loss, "final": True}
    none = {"flags": [], "config": {}, "counts": {}, "data": {}}
    return {"schema": 1, "run_id": run_id, "status": status, "points": [point], "how": {"seconds": seconds}, **none}


def write_stand_in_record(files: RunFolder, status: str = "finished", *, weights: str = "", **how) -> None:
    record = stand_in_record(files.run_id, status, **how)
    record["points"][-1]["weights"] = weights
    write_atomically(files.record, json.dumps(record, indent=1))


class Odd(BaseException):
    """What no handler of exceptions catches."""


def train(run, folder, *, device, watch=None, stop=None, forecast_seconds=None):
    act = str(run.overrides["act"])
    folder.path.mkdir(parents=True, exist_ok=True)
    if act == "crash":
        raise ValueError("the weights have left the building")
    if act == "memory":
        raise OutOfMemory("found too little memory; wanted more; try train.batch=64")
    if act == "refuse":
        raise UserError("found no data; wanted some; put it there")
    if act == "exit":
        sys.exit()
    if act == "keyboard":
        raise KeyboardInterrupt
    if act == "odd":
        raise Odd("no exception")
    if act == "leave" and not (folder.path / "seen").exists():  # once
        (folder.path / "seen").touch()
        os.kill(os.getpid(), 15)
    if act == "stale" and not (folder.path / "seen").exists():  # once
        (folder.path / "seen").touch()
        raise OSError(errno.ESTALE, "Stale file handle")
    if act == "stuck":
        wait_for(lambda: False, 1800)
    if act == "full":
        raise OSError(errno.ENOSPC, "No space left on device")
    if act == "wear":
        worker_reuse.note("a mode")
    if act == "die":
        os.kill(os.getpid(), 9)
    done, weights = read_checkpoint(folder)
    settled = [path.parent.name for path in folder.path.parent.glob("*/record.json")]
    for step in range(done, STEPS):
        if stop is not None and stop():
            return None
        weights = hashlib.sha256(f"{weights} {run.config.seed} {step}".encode()).hexdigest()
        write_atomically(folder.checkpoint, json.dumps({"step": step + 1, "weights": weights}))
        if watch is not None:
            watch(Progress(step + 1, STEPS, 32 * (step + 1), 2.0 - step / STEPS, 1000.0))
        if act == "hold" and step + 1 == HELD:
            hold(folder, stop)
    facts = {"pid": os.getpid(), "from": done, "found": settled, "gpu": os.environ.get("CUDA_VISIBLE_DEVICES")}
    place = {"threads": os.environ.get("OMP_NUM_THREADS"), "job": own_job(), "node": host()}
    append_line(folder.path / "trained.txt", {**facts, **place})
    status = "diverged" if act == "diverge" else "finished"
    write_stand_in_record(folder, status, weights=weights)
    folder.checkpoint.unlink(missing_ok=True)
    return Record(status)
