"""What a module holds beside its parameters is given back after evaluation, and comes back with a checkpoint."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from scaling.models.module_state import UnsavedState, device_kinds
from scaling.models.parts import as_evaluated
from scaling.train.output.checkpoint import read_checkpoint, write_checkpoint
from scaling.train.output.saver import snapshot

pytestmark = pytest.mark.filterwarnings("ignore:.*deprecated")  # scripts, which users still have


class Frozen(dict):
    """Settings that refuse to be written, as some libraries have them."""

    def clear(self):
        raise TypeError("frozen")

    update = clear


class Own(Tensor):
    """A kind of tensor of a user's."""


class LowRank(nn.Linear):
    """It adds an update to its weight in evaluation, and takes it away in training."""

    added = False

    def train(self, mode=True):
        super().train(mode)
        if self.added == mode:
            self.weight.data += -1 if mode else 1
            self.added = not mode
        return self


def holding() -> nn.Module:
    module, itself = nn.Sequential(nn.Linear(2, 2), nn.ReLU()), []
    itself.append(itself)
    with torch.inference_mode():
        module.inferred = torch.zeros(2)
    module.sparse, module.frozen, module.itself, module.own = torch.eye(3).to_sparse(), Frozen(a=1), itself, None
    module.kinds, module.items = {"a", "b"}, {"a": [1, 2.0]}
    module.script = torch.jit.script(nn.BatchNorm1d(2))
    module.register_buffer("wide", torch.zeros(1).expand(3), persistent=False)
    module.register_buffer("mean", torch.zeros(2))
    return module


def test_evaluation_gives_back_what_it_changes_whatever_else_a_module_holds():
    module = holding()
    own = UnsavedState(module)
    with as_evaluated(module):
        module.mean.data += 1  # which no version of it tells
        module.script.running_mean.add_(1)
        module.script(torch.ones(4, 2))
        module.kinds.add("c")
        module.items["b"] = 3
        module[1].register_buffer("mask", torch.ones(2), persistent=False)
        module[1].calls = 1
    assert module.mean.tolist() == [0, 0]
    assert module.script.running_mean.tolist() == [0, 0]
    assert (module.kinds, module.items, module.frozen) == ({"a", "b"}, {"a": [1, 2.0]}, {"a": 1})
    assert not hasattr(module[1], "mask")
    assert not hasattr(module[1], "calls")
    assert all(part.training for part in module.modules())
    assert own.changed() == {}


def test_a_module_that_trains_other_weights_than_it_evaluates_keeps_them():
    module = LowRank(2, 2)
    before = module.weight.detach().clone()
    for _ in range(3):
        with as_evaluated(module):
            assert torch.allclose(module.weight, before + 1)
    assert torch.allclose(module.weight, before)
    assert not module.added


def test_values_come_back_with_their_types_and_on_their_devices(tmp_path):
    module = holding()
    own = UnsavedState(module)
    module.own, module.sparse = torch.ones(2).as_subclass(Own), torch.eye(2).to_sparse()
    module.mean.add_(1)  # of the module's state
    module.wide, module.items["b"] = torch.ones(3, dtype=torch.float64), (True, None)
    changed = own.changed()
    write_checkpoint(tmp_path / "checkpoint", "r", snapshot(changed))
    found = read_checkpoint(tmp_path / "checkpoint", "r")
    assert sorted(found) == [".items", ".own", ".wide"]
    other = holding()
    UnsavedState(other).load(found, device_kinds(changed))
    assert other.items == {"a": [1, 2.0], "b": (True, None)}
    assert (other.wide.dtype, other.wide.tolist(), other.own.tolist()) == (torch.float64, [1, 1, 1], [1, 1])


def test_what_is_in_containers_is_given_back_and_what_was_frozen_meanwhile_comes_back():
    module = nn.Linear(2, 2)
    module.deep = {"calls": [0], "pair": (torch.zeros(2), [1])}
    own = UnsavedState(module)
    with as_evaluated(module):
        module.deep["calls"].append(1)
        module.deep["pair"][0].add_(1)
        module.deep["pair"][1].clear()
    assert (module.deep["calls"], module.deep["pair"][0].tolist(), module.deep["pair"][1]) == ([0], [0, 0], [1])
    module.weight.requires_grad_(False)
    again = nn.Linear(2, 2)
    UnsavedState(again).load(own.changed(), {})
    assert (again.weight.requires_grad, again.bias.requires_grad) == (False, True)


@pytest.mark.parametrize("kind", ["meta", "cpu"])
def test_what_was_not_there_at_first_comes_back_on_the_kind_of_device_that_it_was_on(kind):
    module = nn.Linear(2, 2, device="meta")
    UnsavedState(module).load({".late": torch.zeros(2)}, {".late": kind})
    assert module.late.device.type == kind
