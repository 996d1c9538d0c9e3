"""A run of one step of a tiny model: all that is measured is what surrounds it."""

from __future__ import annotations

from scaling.config import read_config
from scaling.plan.planned import PlannedRun, plan_run

OVERRIDES = ["model.width=8", "model.depth=1", "train.steps=1", "train.batch=32", "train.device=cpu", "optim.lr=1e-3"]


def planned(seed: int) -> PlannedRun:
    """Plan the run with this seed."""
    raw = {
        "model": {"_target_": "scaling.models.mlp.MLP", "width": 8, "depth": 1},
        "data": {"_target_": "scaling.data.teacher.Teacher"},
        "optim": {"_target_": "scaling.optim.adamw.AdamW", "lr": 1e-3},
        "schedule": {"_target_": "scaling.schedules.cosine.Cosine"},
        "augment": {"_target_": "scaling.augment.none.Unchanged"},
        "train": {"steps": 1, "batch": 32, "device": "cpu"},
        "seed": seed,
    }
    return plan_run(read_config(raw), overrides={"seed": seed})
