"""The probe of a cluster's nodes, for the forecasts of sweeps that run there."""

from __future__ import annotations

import json

import pytest

from scaling.dispatch.launchers import Slurm
from scaling.dispatch.slurm import probe
from scaling.dispatch.slurm.scheduler import all_jobs
from scaling.errors import UserError
from scaling.folders import SweepFolder
from tests.dispatch.conftest import meanwhile
from tests.slurm.sweeps import tool
from tests.waiting import wait_for


def test_a_probe_whose_job_waits_or_ends_without_a_word_says_so(cluster, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(probe, "FRESH", 0.5)
    monkeypatch.setattr(probe, "LOOK", 0.05)

    def end_it() -> None:
        wait_for(lambda: "waits in SLURM's queue: JobHeldUser" in caplog.text)
        tool("scancel", *(all_jobs() or ()))

    held = Slurm(gpus=0, cpus=1, min_memory_gb=0.5, extra={"hold": True})
    with meanwhile(end_it), pytest.raises(UserError, match=r"the probe.s job \d+ failed"):
        probe.probe_cluster(SweepFolder(tmp_path, "probe"), held)


def test_the_nodes_are_probed_and_plans_know_it(cluster, scaling, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(scaling.folder / "cache"))
    plan = ["plan", "model.width=8,16", "train.steps=100", "launcher=slurm", "--json", "-"]
    unknown = json.loads(scaling(*plan))["total"]
    assert unknown["forecast_seconds"] is None
    assert unknown["basis"].endswith("run `scaling probe launcher=slurm`")
    said = scaling("probe", "launcher=slurm", "launcher.gpus=0", "launcher.cpus=1", "launcher.min_memory_gb=2")
    assert "us a step" in said
    assert json.loads(scaling(*plan))["total"]["forecast_seconds"] > 0
    assert "no measured speed" in scaling("plan", "model.width=8,16", "train.steps=100")
