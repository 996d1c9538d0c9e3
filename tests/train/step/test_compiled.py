"""The step of engine=compile: fused or not, the same step; here without a compiler, so to the last bit."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from scaling.augment.standard import StandardBatch
from scaling.errors import UserError
from scaling.global_streams import own_streams
from tests.train.runs import planned
from tests.train.step.test_step import MLP, PIXELS, outcome, trainer_of

LION = {"is": "lion", "lr": 1e-3, "weight_decay": 0.1, "body_share": 0.1}
slow = partial(pytest.param, marks=pytest.mark.slow)
CASES = [
    pytest.param({"data": PIXELS, "augment": "standard", "optim": LION}, id="images, augmented, LION"),
    slow({"data": PIXELS, "augment": "standard", "train": {"micro_batch": 12}}, id="parts of a batch"),
    slow({"data": PIXELS, "train": {"precision": "bf16"}}, id="bf16"),
    slow({"data": "blobs", "optim": {"is": "sgd", "lr": 0.1, "momentum": 0.9, "weight_decay": 0.1}}, id="fresh, SGD"),
    slow({"data": PIXELS, "augment": "standard", "of users": True}, id="an augmentation of a user's"),
]


COMPILE = torch.compile


@pytest.fixture(autouse=True)
def without_compiling(monkeypatch):
    torch.compiler.reset()
    monkeypatch.setattr("torch.compile", partial(COMPILE, backend="eager"))
    with own_streams(1):
        yield


@pytest.mark.parametrize("keys", CASES)
def test_the_step_on_stored_examples_is_the_eager_step(keys, monkeypatch):
    monkeypatch.setattr("scaling.train.sizes.NORMALISED_BYTES", 0)  # as large images, which each batch normalises
    keys, found = dict(keys), {}
    train = {"steps": 12, **keys.pop("train", {})}
    if keys.pop("of users", False):  # one function, which draws and applies at once
        made = StandardBatch.__call__
        monkeypatch.setattr(
            "scaling.augment.standard.Standard.build", lambda self, *_: partial(made, StandardBatch(self))
        )
    for engine in ("eager", "compile"):
        trainer = trainer_of(planned({**train, "engine": engine}, **{"model": MLP, **keys}))
        trainer.advance(12, lambda: True)
        found[engine] = outcome(trainer)
        assert trainer.launch_name == {"eager": "eager", "compile": "compiled"}[engine]
    rounded = pytest.approx(found["eager"]["total"], rel=1e-6)  # rates of float32 against those of float64
    assert found["compile"]["total"] == rounded
    assert found["compile"]["draws"] == found["eager"]["draws"]


def test_a_compiler_that_fails_is_told_in_one_sentence(monkeypatch):
    def backend(graph, examples):
        raise RuntimeError("no compiler here\nand much more")

    monkeypatch.setattr("torch.compile", partial(COMPILE, backend=backend))
    trainer = trainer_of(planned({"steps": 2, "engine": "compile"}, model=MLP, data="blobs"))
    with pytest.raises(UserError, match=r"where torch.compile fails: .*no compiler here.*set train.engine=eager"):
        trainer.advance(2, lambda: True)
