"""A small trained run and the stages that start from it."""

from __future__ import annotations

from pathlib import Path

from scaling.config import read_config
from scaling.folders import RunFolder
from scaling.plan.planned import PlannedRun, plan_run
from scaling.train.run import train_run
from tests.train.runs import TARGETS, planned

TARGETS.update(
    digits="scaling.data.digits.Digits",
    probe="scaling.stages.probe.Probe",
    ridge="scaling.stages.ridge.Ridge",
    finetune="scaling.stages.finetune.FineTune",
    tta="scaling.stages.tta.TestTimeAugmentation",
    real="scaling.stages.real.RealLabels",
)
BODY = {"is": "bottleneck", "width": 16, "depth": 1}
PIXELS = {"is": "blobs", "size": 600, "pixels": True}
MILESTONES = {"unit": "steps", "at": [4, 40]}


def parent_run(**train) -> PlannedRun:
    """A run on images of three classes that keeps the weights of its milestones."""
    settings = {"steps": 40, "keep": "milestones", "milestones": MILESTONES, **train}
    return planned(settings, model=BODY, data=PIXELS, schedule="constant")


def child_run(
    parent: PlannedRun,
    stage: dict | str,
    *,
    step: int | None = None,
    data=PIXELS,
    train=None,
    optim=None,
    augment: dict | str = "none",
    seed: int = 0,
    version: int | None = None,
) -> PlannedRun:
    """A stage that starts from a run."""
    raw = {
        "model": _part(BODY),
        "data": _part(data),
        "optim": _part(optim or {"is": "sgd", "lr": 0.1}),
        "schedule": _part("constant"),
        "augment": _part(augment),
        "train": {"batch": 50, "epochs": 2, **(train or {})},
        "seed": seed,
        "stage": _part(stage),
        "recipe_version": version,
        "parent": {"run_id": parent.run_id, "step": step},
    }
    return plan_run(read_config(raw), overrides={}, parent=parent)


def _part(part: dict | str) -> dict:
    keys = {"is": part} if isinstance(part, str) else part
    return {"_target_": TARGETS[keys["is"]], **{key: value for key, value in keys.items() if key != "is"}}


def folder_of(run: PlannedRun, results: Path) -> RunFolder:
    return RunFolder(results / "runs" / run.run_id)


def done(run: PlannedRun, results: Path):
    """Do a run and return its record."""
    record = train_run(run, folder_of(run, results), device="cpu")
    assert record is not None
    return record
