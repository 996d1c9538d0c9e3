"""Probing: 100 checkpoints of one run on 3 tasks of up to 6,000 images, from cached features, by two workers.

The run and its features are made first; then the records of the probes alone are removed and the same command is timed.
Beside it scikit-learn's own fits of arrays of the same size, in one process and without records: the least it could be.
Run: python -m tests.benchmarks.bench_probe
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import json
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from rich.console import Console
from rich.table import Table
from sklearn.linear_model import RidgeClassifierCV, SGDClassifier

from scaling.stages.ridge import PENALTIES
from tests.benchmarks.bench_dispatch import timed

TIMED_FITS = 5  # scikit-learn's; the rest would take as long each
CHECKPOINTS, EXAMPLES, CLASSES, PIXELS = 100, 6_000, 10, 28
STAGES = {
    "ridge, closed form": "stage: ridge",
    "trained head, 20 epochs": "stage: probe, optim.lr: 1e-3, train.epochs: 20, train.batch: 200, train.device: cpu",
}
SWEEP = """\
defaults: [override /model: bottleneck, override /data: npz, override /schedule: constant]
model: {{width: 64, depth: 2}}
data: {{file: first.npz, classes: 10, examples: 6000, image_size: 28}}
train:
  batch: 60
  steps: {checkpoints}
  milestones: {{unit: steps, at: {{from: 1, to: {checkpoints}, step: 1}}}}
  device: cpu
sweep:
  grid: [{{product: {{seed: [0]}}}}]
  stages:
    - name: probe
      at: milestones
      base: {{{stage}}}
      grid:
        - product: {{data: [digits]}}
        - product:
            data: [npz]
            data.file: [first.npz, second.npz]
            data.classes: [10]
            data.examples: [6000]
            data.image_size: [28]
"""


def write_task(path: Path, seed: int) -> None:
    """Write images of ten blurred classes."""
    rng = np.random.default_rng(seed)
    middle = rng.uniform(0, 200, size=(CLASSES, PIXELS, PIXELS))
    arrays = {}
    for split, n in (("train", EXAMPLES), ("val", 1_000), ("test", 1_000)):
        y = rng.integers(CLASSES, size=n)
        noisy = middle[y] + rng.normal(0, 120, size=(n, PIXELS, PIXELS))
        arrays[f"x_{split}"] = noisy.clip(0, 255).astype(np.uint8)
        arrays[f"y_{split}"] = y
    np.savez(path, **arrays)


def probe(folder: Path, stage: str) -> tuple[float, float, int]:
    """Return wall and CPU seconds of the probes from cached features, and their number."""
    (folder / "sweeps").mkdir()
    text = SWEEP.format(stage=stage, checkpoints=CHECKPOINTS)
    (folder / "sweeps" / "probes.yaml").write_text(text)
    write_task(folder / "first.npz", 1)
    write_task(folder / "second.npz", 2)
    command = [sys.executable, "-m", "scaling", "run", "sweep=probes", "launcher.workers=2"]

    def run() -> None:
        subprocess.run(command, check=True, capture_output=True, cwd=folder)

    run()
    probes = [path.parent for path in folder.glob("results/runs/*/record.json") if is_probe(path)]
    for path in probes:
        shutil.rmtree(path)
    return *timed(run), len(probes)


def is_probe(record: Path) -> bool:
    """Say whether a record is that of a stage."""
    return json.loads(record.read_text())["config"]["parent"] is not None


def sklearn_seconds(kind: str) -> float:
    """Return the s of CPU that scikit-learn takes for a fit of the larger task's features."""
    rng = np.random.default_rng(0)
    y = rng.integers(CLASSES, size=EXAMPLES)
    x = rng.standard_normal((CLASSES, 64))[y] + rng.standard_normal((EXAMPLES, 64))
    models = {
        "ridge, closed form": RidgeClassifierCV(alphas=PENALTIES),
        "trained head, 20 epochs": SGDClassifier(loss="log_loss", max_iter=20, tol=None),
    }
    return timed(lambda: [models[kind].fit(x, y) for _ in range(TIMED_FITS)])[1] / TIMED_FITS


def main() -> None:
    """Time both kinds of probe."""
    title = f"{CHECKPOINTS} checkpoints x 3 tasks, features cached, 2 workers"
    table = Table("probe", "probes", "s", "s of CPU", "scikit-learn, s of CPU", title=title, title_justify="left")
    for name, stage in STAGES.items():
        with TemporaryDirectory(prefix="scaling-bench-") as folder:
            wall, cpu, count = probe(Path(folder), stage)
        table.add_row(name, str(count), f"{wall:.1f}", f"{cpu:.1f}", f"{count * sklearn_seconds(name):.1f}")
    Console().print(table)


if __name__ == "__main__":
    main()
