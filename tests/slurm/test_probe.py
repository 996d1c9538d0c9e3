"""The probe of a cluster's nodes, for the forecasts of sweeps that run there."""

from __future__ import annotations

import json


def test_the_nodes_are_probed_and_plans_know_it(cluster, scaling, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(scaling.folder / "cache"))
    plan = ["plan", "model.width=8,16", "train.steps=100", "launcher=slurm", "--json", "-"]
    assert json.loads(scaling(*plan))["total"]["forecast_seconds"] is None
    said = scaling("probe", "launcher=slurm", "launcher.gpus=0", "launcher.cpus=1", "launcher.min_memory_gb=2")
    assert "us a step" in said
    assert json.loads(scaling(*plan))["total"]["forecast_seconds"] > 0
    assert "no measured speed" in scaling("plan", "model.width=8,16", "train.steps=100")
