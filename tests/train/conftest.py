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


@pytest.fixture(autouse=True)
def short_ticks(monkeypatch):
    """`stop` is asked often enough on the fastest machine."""
    monkeypatch.setattr("scaling.train.loop.TICK_SECONDS", 0.05)
