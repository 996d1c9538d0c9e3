"""Eager training starts without torch._dynamo, and steps exactly as torch does."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import sys
import torch
from scaling.train.lean import spare_dynamo

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


def said(how: str) -> str:
    return subprocess.run([sys.executable, "-c", SCRIPT, how], capture_output=True, text=True, check=True).stdout


@pytest.mark.slow
def test_lean_steps_are_torchs_own():
    loaded, _, weights = said("lean").partition(" ")
    assert loaded == "False"
    assert said("torch").partition(" ")[2] == weights
