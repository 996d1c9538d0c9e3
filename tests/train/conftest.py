from __future__ import annotations

import pytest
import torch


@pytest.fixture(autouse=True)
def one_thread():
    """Small matrices on several threads only wait for one another."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def every_step(monkeypatch):
    """Let the loop ask whether to stop at every step, where else the clock tells it when."""
    monkeypatch.setattr("scaling.train.loop.TICK_SECONDS", 0.0)
