"""Stages of one checkpoint, trained together: many rates of a probe read its features once."""

from __future__ import annotations

import pytest

from scaling.plan.identity import stack_key
from scaling.train.feed.resident import Resident
from tests.stages.family import child_run, done, parent_run
from tests.train.stacked.stacks import losses, together
from tests.train.stacked.test_against_single import ROUNDING

RATES = (0.3, 0.1, 0.01)
AUGMENTED = {"is": "standard", "mixup": 0.5, "scale": (0.5, 1.0)}
STAGES = {
    "probe": {"stage": "probe"},
    "finetune": {"stage": "finetune", "optim": {"is": "adamw", "body_share": 0.1}},
    "augmented": {"stage": "finetune", "augment": AUGMENTED},
    "head alone": {"stage": "finetune", "optim": {"is": "sgd", "body_share": 0.0}},
}


def children(case: str, engine: str, **more) -> list:
    keys = dict(STAGES[case])
    optim = keys.pop("optim", {"is": "sgd"})
    return [
        child_run(parent_run(), train={"engine": engine}, optim={**optim, "lr": rate}, seed=seed, **keys, **more)
        for seed, rate in enumerate(RATES)
    ]


@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=pytest.mark.slow if case != "probe" else ()) for case in STAGES]
)
def test_stages_of_one_checkpoint_are_trained_together(case, tmp_path):
    done(parent_run(), tmp_path)
    wanted = [done(run, tmp_path) for run in children(case, "eager")]
    runs = children(case, "stacked")
    [key] = {stack_key(run.config, run.quantities) for run in runs}
    assert key
    for ending, record in zip(together(runs, tmp_path), wanted, strict=True):
        assert not isinstance(ending.result, Exception), ending.result
        assert ending.result.how["stack"] == 3
        assert losses(ending.result) == pytest.approx(losses(record), rel=5 * ROUNDING)


def test_probes_hold_their_features_once(tmp_path, monkeypatch):
    done(parent_run(), tmp_path)
    held = []
    real = Resident.take

    def seen(self, index):
        held.append(id(self))
        return real(self, index)

    monkeypatch.setattr(Resident, "take", seen)
    together(children("probe", "stacked", data={"is": "digits", "size": 200}), tmp_path)
    assert len(set(held)) == 1
