"""Killed at any moment and started again, every stage ends with the record of one never stopped."""

from __future__ import annotations

import pytest
import torch

from scaling.train.output.kept_weights import read_kept_weights
from scaling.train.run import train_run
from tests.default_cases import default_cases
from tests.stages.family import child_run, done, folder_of, parent_run
from tests.train.killed import kill_at
from tests.train.runs import essence

STEPS = {"epochs": None, "steps": 200, "milestones": 8, "checkpoint_seconds": 0.0, "keep": "last"}
TUNED = {"is": "sgd", "lr": 0.01, "momentum": 0.9, "body_share": 0.1}
PARENT = parent_run()
CASES = {
    "probe": child_run(PARENT, "probe", train=STEPS),
    "finetune": child_run(PARENT, "finetune", train=STEPS, optim=TUNED),
    "tta": child_run(PARENT, {"is": "tta", "crops": 3}),
    "ridge": child_run(PARENT, "ridge"),
}
MOMENTS = {"probe": ("checkpoint", 5), "finetune": ("step", 120), "tta": ("point", 1), "ridge": ("record", 1)}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    found = tmp_path_factory.mktemp("results")
    done(PARENT, found)
    return found


@pytest.mark.parametrize("case", default_cases(CASES, "finetune"))
def test_a_killed_stage_ends_with_the_same_record(case, results):
    run = CASES[case]
    place, count = MOMENTS[case]
    kill_at(place, count, module="tests.stages.test_resume", case=case, results=results)
    folder = folder_of(run, results)
    assert not folder.record.exists()
    assert folder.checkpoint.exists() == run.config.stage.trains
    resumed = train_run(run, folder, device="cpu")
    weights = read_kept_weights(folder, run.quantities.steps).model if run.config.stage.trains else {}
    folder.record.unlink()
    straight = train_run(run, folder, device="cpu")
    assert essence(resumed) == essence(straight)
    assert not folder.checkpoint.exists()
    if weights:
        again = read_kept_weights(folder, run.quantities.steps).model
        assert all(torch.equal(weights[name], again[name]) for name in weights)
