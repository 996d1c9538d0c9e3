"""Forecasts from a probe against what runs then take, beside the usual rule: FLOPs over the rate of large products.

Run: python -m tests.benchmarks.bench_forecast
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from rich.console import Console
from rich.table import Table

from scaling.folders import RunFolder
from scaling.forecast.estimate import forecast
from scaling.forecast.probe import probe_speed
from scaling.forecast.timing.shapes import Shape, planned_shape
from scaling.models.mlp import MLP
from scaling.plan.planned import PlannedRun
from scaling.train.run import train_run
from tests.benchmarks.bench_images import product_rate

CASES = {  # shape and steps
    "mlp 8 x 2": (Shape(MLP(width=8, depth=2), 128, 16), 2_000),
    "mlp 64 x 2": (Shape(MLP(width=64, depth=2), 128, 64), 1_000),
    "mlp 256 x 2": (Shape(MLP(width=256, depth=2), 128, 784), 300),
}


def seconds(run: PlannedRun) -> float:
    """Return what a run takes, as its record says."""
    with TemporaryDirectory(prefix="scaling-bench-") as folder:
        record = train_run(run, RunFolder(Path(folder) / "runs" / run.run_id), device="cpu")
    assert record is not None
    return float(record.how["seconds"])


def main() -> None:
    """Probe, train and print the ratios."""
    torch.set_num_threads(1)
    speed, rate = probe_speed("cpu"), product_rate(torch.device("cpu"))
    table = Table("batch of 128, one thread", "steps", "s", "forecast / s", "FLOPs over product rate / s")
    for name, (shape, steps) in CASES.items():
        run = planned_shape(shape, "fp32", steps=steps)
        took, rule = seconds(run), run.quantities.C_counted / rate
        table.add_row(
            name, f"{steps:,}", f"{took:.2f}", f"{forecast(run, speed).seconds / took:.2f}", f"{rule / took:.2f}"
        )
    Console().print(table)


if __name__ == "__main__":
    main()
