"""Runs whose optimiser means other weights than those it steps from: evaluated and kept are those that it means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch

from scaling.optim.averaged import as_meant
from scaling.optim.build_optimiser import build_optimiser
from scaling.optim.users_optimiser import check_users_optimiser
from scaling.train.output.kept_weights import read_kept_weights
from scaling.train.run import train_run
from tests.train import runs
from tests.train.runs import essence, folder_of, planned, stopped_after

BETA = 0.9


class ScheduleFreeSGD(torch.optim.Optimizer):
    """Schedule-free SGD in the form of the package schedulefree: y in training, the average x in evaluation."""

    def __init__(self, params, lr):
        super().__init__(params, {"lr": lr, "k": 0, "train_mode": False})

    @torch.no_grad()
    def _change(self, mode, weight):
        for group in self.param_groups:
            if group["train_mode"] != mode:
                for p in group["params"]:
                    if "z" in self.state[p]:
                        p.lerp_(self.state[p]["z"], weight)
            group["train_mode"] = mode

    def eval(self):
        self._change(False, 1 - 1 / BETA)

    def train(self):
        self._change(True, 1 - BETA)

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            if not group["train_mode"]:
                raise RuntimeError("not in train mode")
            group["k"] += 1
            for p in group["params"]:
                z = self.state[p].setdefault("z", p.clone())
                p.lerp_(z, 1 / group["k"])
                p.add_(p.grad, alpha=group["lr"] * (BETA * (1 - 1 / group["k"]) - 1))
                z.sub_(p.grad, alpha=group["lr"])


@dataclass(frozen=True)
class ScheduleFree:
    name: ClassVar[str] = "schedule_free"
    lr: float = 0.3

    def build(self, module):
        return ScheduleFreeSGD(module.parameters(), lr=self.lr)


@pytest.fixture
def run_of(monkeypatch):
    monkeypatch.setitem(runs.TARGETS, "schedule_free", f"{__name__}.ScheduleFree")
    return lambda **train: planned({"steps": 150, **train}, optim={"is": "schedule_free", "lr": 0.3})


def test_weights_are_those_that_the_optimiser_means_and_come_back_bit_for_bit():
    module = torch.nn.Linear(6, 3)
    optimizer = build_optimiser(ScheduleFree(), module)
    check_users_optimiser(ScheduleFree())
    for _ in range(7):
        optimizer.zero_grad()
        module(torch.randn(5, 6)).square().sum().backward()
        optimizer.step()
    before, z = module.weight.detach().clone(), optimizer.state[module.weight]["z"]
    with as_meant(optimizer):
        assert torch.allclose((1 - BETA) * z + BETA * module.weight, before, atol=1e-6)
        assert not torch.equal(module.weight, before)
    assert torch.equal(module.weight, before)
    optimizer.step()


def test_a_run_is_evaluated_and_kept_at_these_weights_and_is_the_same_with_more_milestones(tmp_path, run_of):
    run, again = run_of(keep="last"), run_of(keep="milestones", milestones=5)
    record = train_run(run, folder_of(run, tmp_path / "a"), device="cpu")
    assert (
        essence(train_run(again, folder_of(again, tmp_path / "b"), device="cpu"))["points"][-1]
        == (essence(record)["points"][-1])
    )
    folder = folder_of(again, tmp_path / "b")
    one, other = (read_kept_weights(folder, step).model["head.weight"] for step in again.quantities.milestones[-2:])
    assert torch.equal(other, read_kept_weights(folder_of(run, tmp_path / "a"), 150).model["head.weight"])
    assert not torch.equal(one, other)
    assert record.points[-1].error < 0.2


def test_a_run_that_was_cut_off_is_the_same(tmp_path, run_of, every_step):
    run = run_of(milestones=3)
    whole = train_run(run, folder_of(run, tmp_path / "a"), device="cpu")
    folder = folder_of(run, tmp_path / "b")
    assert train_run(run, folder, device="cpu", stop=stopped_after(80)) is None
    assert essence(train_run(run, folder, device="cpu")) == essence(whole)
