"""What inference costs, of a model whose clock goes on as it is applied."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import pytest
import torch
from torch import nn

from scaling.forecast.inference import MOST_ON_CPU, measure_model
from scaling.models.mlp import MLP
from tests.train.runs import planned
from tests.waiting import Clock

CLOCK = Clock()
CALL, EXAMPLE = 1e-3, 1e-6  # seconds: of a call, and of each example in it


class Winding(nn.Module):
    """Wind the clock by what a call takes; beyond `held` examples each takes twice as long."""

    held = MOST_ON_CPU

    def forward(self, x):
        CLOCK.now += CALL + EXAMPLE * (len(x) + max(0, len(x) - self.held))
        return x


@dataclass(frozen=True, kw_only=True)
class Timed(MLP):
    family: ClassVar[str] = "timed"

    def build(self, shape, outputs, generator):
        return nn.Sequential(super().build(shape, outputs, generator), Winding())


@pytest.fixture
def measured(monkeypatch):
    def measure(held=MOST_ON_CPU):
        monkeypatch.setattr("scaling.forecast.inference.perf_counter", CLOCK)
        monkeypatch.setattr(Winding, "held", held)
        config = replace(planned({"steps": 1}).config, model=Timed(width=8, depth=1))
        return measure_model(config, torch.device("cpu"))

    return measure


def test_latency_is_of_one_example_and_throughput_of_the_best_batch(measured):
    found = measured()
    assert found.latency_ms == pytest.approx(1e3 * (CALL + EXAMPLE))
    assert found.best_batch == MOST_ON_CPU
    assert found.throughput == pytest.approx(MOST_ON_CPU / (CALL + EXAMPLE * MOST_ON_CPU))


def test_a_batch_that_is_hardly_faster_is_not_worth_its_memory(measured):
    """4,096 examples at a time are 1 % faster here than 1,024; the memory is that of the batch that was chosen."""
    found = measured(held=1176)
    assert found.best_batch == 1024
    assert found.memory_bytes == 4 * (found.N_total + 1024 * (8 + 8))  # weights, and a layer's input and output
