"""What runs are forecast for: the workers of their launcher."""

from __future__ import annotations

from dataclasses import replace

import pytest

from scaling.commands.forecast_runs import forecast_runs
from scaling.dispatch.launchers import Local, Slurm
from scaling.forecast.speed import keep_speed
from tests.forecast.test_estimate import CPU, SPEED, own_cache  # noqa: F401
from tests.train.runs import planned


def test_each_worker_draws_the_fresh_examples_that_its_runs_share():
    keep_speed(SPEED)
    runs = [planned({"steps": 2000, **CPU}, optim={"is": "adamw", "lr": lr}) for lr in (1e-3, 2e-3, 3e-3, 4e-3)]
    one, two = (sum(run.seconds for run in forecast_runs(runs, Local(workers=n)).values()) for n in (1, 2))
    assert two - one == pytest.approx(2000 * 32 * SPEED.draw["blobs"])


def test_the_speed_is_that_of_the_nodes_not_of_the_machine_that_submits():
    keep_speed(SPEED)
    keep_speed(replace(SPEED, device="a node"), partition="night")
    [run] = forecast_runs([planned({"steps": 5, **CPU})], Slurm(partition="night")).values()
    assert run.device == "a node"
