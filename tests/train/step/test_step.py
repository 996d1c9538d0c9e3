"""The prepared step: the loop of before, bit for bit, launched kernel by kernel or through the buffers of a graph.

What only a GPU can show, that a captured step is replayed to the same bits, is in tests/gpu.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from scaling.errors import UserError
from scaling.global_streams import own_streams
from scaling.train.feed.run_data import load_run_data
from scaling.train.loop import Trainer
from scaling.train.output.saver import snapshot
from scaling.train.run import train_run
from scaling.train.step.graph import NotCaptured
from scaling.train.step.launch import Buffered, Eager, Steps, replayed
from scaling.train.step.prepared import Step
from scaling.train.step.rates import Rates
from tests.default_cases import default_cases
from tests.train.runs import folder_of, planned

CPU, STEPS = torch.device("cpu"), 30
PIXELS = {"is": "blobs", "size": 96, "pixels": True}
MLP = {"is": "mlp", "width": 8, "depth": 2}
NETS = "tests.train.step.nets"
CASES = {
    "adamw": {"optim": {"is": "adamw", "lr": 0.01, "weight_decay": 0.1}},
    "adamw, two rates": {"optim": {"is": "adamw", "lr": 0.01, "body_share": 0.3}},
    "sgd": {"optim": {"is": "sgd", "lr": 0.1, "weight_decay": 0.1}},
    "sgd with momentum": {"optim": {"is": "sgd", "lr": 0.1, "momentum": 0.9, "nesterov": True}},
    "lion": {"optim": {"is": "lion", "lr": 1e-3, "weight_decay": 0.1}},
    "lion, two rates": {"optim": {"is": "lion", "lr": 1e-3, "weight_decay": 0.1, "body_share": 0.1}},
    "clip": {"train": {"clip": 1e-2}},
    "bf16": {"train": {"precision": "bf16"}},
    "smoothing": {"train": {"label_smoothing": 0.2}},
    "parts of a batch": {"train": {"micro_batch": 12}},
    "dropout": {"model": {**MLP, "dropout": 0.2}},
    "batch norm": {"model": {**MLP, "norm": "batch"}},
    "augmentation": {"data": PIXELS, "augment": "standard"},
    "fresh": {"data": "blobs"},
}
cases = pytest.mark.parametrize(
    "case",
    default_cases(CASES, "adamw, two rates", "sgd with momentum", "clip", "dropout", "batch norm", "augmentation"),
)


def run_of(case):
    keys = dict(CASES[case])
    train = {"steps": STEPS, **keys.pop("train", {})}
    return planned(train, **{"model": MLP, "data": {"is": "blobs", "size": 100}, **keys})


def trainer_of(run) -> Trainer:
    sets = load_run_data(run.config, run.quantities, CPU)
    return Trainer(run, sets.batches(run.quantities.batch), CPU)


def step_of(trainer) -> Step:
    trainer.advance(trainer.step, lambda: True)
    return trainer._launch._step


def loop_of_before(trainer, until, rates=None):
    """The loop as it was: everything in its place at every step."""
    config = trainer.run.config
    for x, y in trainer.batches.between(trainer.step, until):
        lr = config.optim.lr * config.schedule.factor(trainer.step, STEPS)
        for group in trainer.optimizer.param_groups:
            group["lr"] = lr * group.get("share", 1.0)
            group["lr"] = float(np.float32(group["lr"])) if rates == "rounded" else group["lr"]
            group["keep"] = 1 - group["lr"] * group.get("decay", group["weight_decay"])
        if trainer.augment is not None:
            x, y = trainer.augment(x, y, trainer.augment_generator)
        total = torch.zeros(())
        for start in range(0, len(x), trainer.micro_batch):
            part = slice(start, start + trainer.micro_batch)
            share = len(x[part]) / len(x)
            loss = trainer._loss(x, y) if share == 1 else trainer._loss(x[part], y[part]) * share
            loss.backward()
            total += loss.detach()
        if config.train.clip is not None:
            nn.utils.clip_grad_norm_(list(trainer.module.parameters()), config.train.clip)
        trainer.optimizer.step()
        trainer.optimizer.zero_grad(set_to_none=True)
        trainer.total.add_(total)
        trainer.step += 1


def outcome(trainer) -> dict:
    """All that a next step would depend on, as comparable values."""
    moments = {
        (i, name): value.tolist()
        for i, state in trainer.optimizer.state_dict()["state"].items()
        for name, value in state.items()
        if isinstance(value, torch.Tensor)
    }
    weights = {name: value.tolist() for name, value in trainer.module.state_dict().items()}
    draws = trainer.augment_generator.get_state().tolist(), torch.get_rng_state().tolist()
    return {"weights": weights, "moments": moments, "total": trainer.total.item(), "draws": draws}


def without_capturing(work, device, *, generators, check):
    """In the place of a capture: the warm-up, and then the work itself at every replay."""
    work()
    work()
    check()
    return work


def steps_of(trainer, *, rounded: bool) -> Steps:
    rates = Rates(trainer.optimizer, rounded=rounded)
    return Steps(step_of(trainer), trainer.batches, rates, trainer.module, CPU, trainer.step)


def through_buffers(trainer) -> Buffered:
    return replayed(steps_of(trainer, rounded=True), capture=without_capturing)


@pytest.fixture(autouse=True)
def streams():
    with own_streams(1):
        yield


@cases
def test_the_loop_is_that_of_before_bit_for_bit(case):
    run = run_of(case)
    before = trainer_of(run)
    loop_of_before(before, STEPS)
    wanted = outcome(before)
    now = trainer_of(run)
    now.advance(STEPS, lambda: True)
    assert outcome(now) == wanted
    assert now.launch_name == "eager"


@cases
@pytest.mark.parametrize("begun", [0, 11], ids=["from the start", "in the middle"])
def test_steps_through_buffers_are_the_same_bit_for_bit(case, begun):
    """With the rates that a GPU reads. Warming up leaves no trace; a run that has begun is gone on with."""
    run = run_of(case)
    before = trainer_of(run)
    loop_of_before(before, begun, rates="rounded")
    state = snapshot(before.state())
    loop_of_before(before, STEPS, rates="rounded")
    wanted = outcome(before)
    now = trainer_of(run)
    if begun:
        now.load(state)
    now._launch = through_buffers(now)
    now.advance(STEPS, lambda: True)
    assert outcome(now) == wanted


def test_a_checkpoint_of_replayed_steps_is_one_of_any(tmp_path):
    """Its rates are numbers, and it is gone on with either way."""
    run = run_of("lion, two rates")
    one, other = trainer_of(run), trainer_of(run)
    one._launch = through_buffers(one)
    one.advance(12, lambda: True)
    state = snapshot(one.state())
    assert all(isinstance(group["lr"], float) for group in state["optimizer"]["param_groups"])
    other.load(state)
    loop_of_before(other, STEPS, rates="rounded")
    one.advance(STEPS, lambda: True)
    assert outcome(one) == outcome(other)


@pytest.mark.parametrize("net", ["Counting", "Listing", "Switching", "Drawing", "Moving"])
def test_what_would_not_be_the_same_step_each_time_is_not_captured(net):
    """And the steps that were tried leave nothing behind."""
    keys = {"model": {"is": "custom", "module": f"{NETS}.{net}"}, "data": {"is": "blobs", "size": 100}}
    run = planned({"steps": STEPS}, **keys)
    straight = trainer_of(run)
    straight.advance(STEPS, lambda: True)
    wanted = outcome(straight)
    tried = trainer_of(run)
    reasons = {"Drawing": "random numbers on the host", "Moving": "replaces average"}
    with pytest.raises(NotCaptured, match=reasons.get(net, "more than tensors")):
        through_buffers(tried)
    tried._launch = Eager(steps_of(tried, rounded=False))
    tried.advance(STEPS, lambda: True)
    assert outcome(tried) == wanted


def test_what_a_module_keeps_outside_its_state_is_restored_after_the_warm_up():
    run = planned({"steps": STEPS}, model={"is": "custom", "module": f"{NETS}.Averaging"})
    straight, now = trainer_of(run), trainer_of(run)
    loop_of_before(straight, STEPS, rates="rounded")
    now._launch = through_buffers(now)
    now.advance(STEPS, lambda: True)
    assert now.module.average.tolist() == straight.module.average.tolist()


def test_a_warm_up_that_fails_after_its_gradients_leaves_none_behind():
    """As where memory runs out in the middle of a step; the run is then launched kernel by kernel."""
    run = run_of("adamw")
    straight = trainer_of(run)
    straight.advance(STEPS, lambda: True)
    tried = trainer_of(run)
    steps = steps_of(tried, rounded=False)

    def fails(work, device, *, generators, check):
        work()
        steps.step._gradients(*next(iter(tried.batches.between(0, 1))))
        raise NotCaptured("too little memory")

    with pytest.raises(NotCaptured):
        replayed(steps, capture=fails)
    tried.advance(STEPS, lambda: True)
    assert outcome(tried) == outcome(straight)


def test_an_optimiser_that_nobody_vouches_for_is_not_captured():
    trainer = trainer_of(run_of("adamw"))
    trainer.optimizer = torch.optim.Adagrad(trainer.module.parameters())
    with pytest.raises(NotCaptured, match="Adagrad"):
        through_buffers(trainer)


def test_a_graph_is_a_way_to_launch_and_no_part_of_a_run(tmp_path):
    auto, off = (planned({"steps": 20, "graph": graph}) for graph in ("auto", False))
    assert off.config.train.graph == "off"
    assert auto.run_id == off.run_id
    record = train_run(auto, folder_of(auto, tmp_path), device="cpu")
    assert record.how["launch"] == "eager"
    with pytest.raises(UserError, match=r"train\.graph"):
        planned({"steps": 20, "graph": "sometimes"})
