"""Eager training starts without torch._dynamo, and steps exactly as torch does; so does counting."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from scaling.internals.torch import spare_dynamo, spare_dynamo_counting
from scaling.optim.adamw import AdamW
from scaling.optim.lion import Lion
from scaling.optim.sgd import SGD
from tests.forked import forked

SCRIPT = """
import sys
import torch
from scaling.internals.torch import spare_dynamo

if sys.argv[1] == "lean":
    spare_dynamo()
torch.manual_seed(0)
module = torch.nn.Linear(3, 3)
adam = torch.optim.AdamW(module.parameters(), lr=1e-2, fused=True)
for optimizer in (adam, torch.optim.SGD(module.parameters(), lr=0.1, momentum=0.9)):
    for _ in range(3):
        optimizer.zero_grad()
        module(torch.randn(5, 3)).square().mean().backward()
        optimizer.step()
    optimizer.load_state_dict(optimizer.state_dict())
print("torch._dynamo" in sys.modules, [value.hex() for value in module.weight.flatten().tolist()])
"""


def count() -> tuple[bool, int]:
    spare_dynamo_counting()
    module = torch.nn.Sequential(torch.nn.Conv1d(2, 3, 5), torch.nn.Flatten(), torch.nn.Linear(12, 7))
    with FlopCounterMode(display=False) as counter:
        module(torch.zeros(4, 2, 8)).sum().backward()
    return "torch._dynamo" in sys.modules, counter.get_total_flops()


def said(script: str, *arguments: str) -> str:
    done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True)
    return done.stdout


@pytest.mark.slow
def test_lean_steps_are_torchs_own():
    loaded, _, weights = said(SCRIPT, "lean").partition(" ")
    assert loaded == "False"
    assert said(SCRIPT, "torch").partition(" ")[2] == weights


def test_counting_is_lean_and_torchs_own(tmp_path):
    # Forward 2 x (30 x 4 + 84) x 4; backward the same for the weights, and for the inputs of all but the first layer.
    forward, inputs = 2 * (2 * 3 * 5 * 4 + 12 * 7) * 4, 2 * 12 * 7 * 4
    assert forked(tmp_path, count).result() == (False, 2 * forward + inputs)


@pytest.mark.parametrize("optim", [AdamW(lr=0.1), Lion(lr=0.1), SGD(lr=0.1)], ids=lambda optim: optim.name)
def test_no_step_is_wrapped_but_to_turn_gradients_off(optim):
    spare_dynamo()
    step = type(optim.build(torch.nn.Linear(2, 2))).step
    assert not hasattr(step.__wrapped__, "__wrapped__")
