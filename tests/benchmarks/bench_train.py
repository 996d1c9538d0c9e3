"""Our training loop against a plain PyTorch loop: same model, same data, same optimiser; ratios in one run.

The plain loop is the one of the tutorials, at its best: float32 tensors normalised beforehand, a DataLoader without
worker processes (they only cost on few cores), AdamW as it comes, the loss read at every step. One thread each,
timed in turns, the fastest turn of each. Run: python -m tests.benchmarks.bench_train
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

from dataclasses import dataclass
from time import perf_counter
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from scaling.forecast.timing.shapes import Shape, planned_shape
from scaling.models.bottleneck import Bottleneck
from scaling.models.mlp import MLP
from scaling.train.feed.feed import batches
from scaling.train.feed.run_data import load_run_data
from scaling.train.loop import Trainer
from scaling.train.streams import stream

TURNS, STEPS = 7, 128
CASES = {
    "mlp 64 x 2, 16 inputs": Shape(MLP(width=64, depth=2), 128, 16),
    "mlp 64 x 2, 784 inputs": Shape(MLP(width=64, depth=2), 128, 784),
    "mlp 64 x 6, 64 inputs": Shape(MLP(width=64, depth=6), 128, 64),
    "bottleneck 64 x 2, 64 inputs": Shape(Bottleneck(width=64, depth=2), 128, 64),
    "mlp 256 x 2, 784 inputs": Shape(MLP(width=256, depth=2), 128, 784),
}


@dataclass(frozen=True)
class Timed:
    """Seconds a step."""

    ours: float
    plain: float

    @property
    def ratio(self) -> float:
        return self.plain / self.ours


def compare(shape: Shape, *, turns: int = TURNS, steps: int = STEPS) -> Timed:
    """Time both loops in turns on the same model and data."""
    run, cpu = planned_shape(shape, "fp32"), torch.device("cpu")
    stage = load_run_data(run.config, run.quantities, cpu)
    trainer = Trainer(run, batches(stage.feed, batch=shape.batch, features=shape.features, device=cpu), cpu)
    module = shape.model.build((shape.features,), 10, stream(0, "init"))
    examples = stage.splits.train
    loader = DataLoader(
        TensorDataset(torch.from_numpy(examples.x), torch.from_numpy(examples.y)), batch_size=shape.batch, shuffle=True
    )
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-4)
    ours, plain = [], []
    for _ in range(turns):
        started = perf_counter()
        trainer.advance(trainer.step + steps, lambda: True)
        ours.append((perf_counter() - started) / steps)
        started = perf_counter()
        done = plain_steps(module, loader, optimizer, steps)
        plain.append((perf_counter() - started) / done)
    return Timed(min(ours), min(plain))


def plain_steps(
    module: nn.Module, loader: Any, optimizer: torch.optim.Optimizer, steps: int, *, exactly: bool = False
) -> int:
    """Train epoch after epoch for at least, or exactly, `steps` steps and return how many they were."""
    criterion, done, total = nn.CrossEntropyLoss(), 0, 0.0
    device = next(module.parameters()).device
    module.train()
    while done < steps:
        for x, y in loader:
            x, y = x.to(device), y.to(device)
            optimizer.zero_grad()
            loss = criterion(module(x), y)
            loss.backward()
            optimizer.step()
            total += loss.item()
            done += 1
            if exactly and done == steps:
                break
    return done


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    table = Table("batch of 128, one thread", "ours, us a step", "plain, us a step", "plain / ours")
    for name, shape in CASES.items():
        timed = compare(shape)
        table.add_row(name, f"{timed.ours * 1e6:.0f}", f"{timed.plain * 1e6:.0f}", f"{timed.ratio:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
