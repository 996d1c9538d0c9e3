"""Sweeps by the loop of the tutorials: one run after the other in one process, or one a job of Hydra's joblib launcher.

One run after the other: python -m tests.benchmarks.plain. As a Hydra application: hydra/launcher=joblib +number=0,1,…
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

from time import perf_counter, process_time

import hydra
import torch
from omegaconf import DictConfig
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from scaling.config import read_config
from scaling.plan.planned import PlannedRun, plan_run
from scaling.train.feed.run_data import load_splits
from scaling.train.streams import stream
from tests.benchmarks.bench_train import plain_steps

RATES, SEEDS, STEPS, BATCH, WIDTH = 16, 4, 400, 32, 32
SAMPLED = 128  # steps of a long run that are timed


def rates() -> list[str]:
    """Return the rates of the sweep, as a command line has them."""
    return [f"{1e-3 * 100 ** (number / (RATES - 1)):.3g}" for number in range(RATES)]


def planned(number: int, device: str = "cpu") -> PlannedRun:
    """Plan one of the 64 runs of the sweep."""
    raw = {
        "model": {"_target_": "scaling.models.mlp.MLP", "width": WIDTH, "depth": 2},
        "data": {"_target_": "scaling.data.teacher.Teacher"},
        "optim": {"_target_": "scaling.optim.adamw.AdamW", "lr": float(rates()[number // SEEDS])},
        "schedule": {"_target_": "scaling.schedules.cosine.Cosine"},
        "augment": {"_target_": "scaling.augment.none.Unchanged"},
        "train": {"steps": STEPS, "batch": BATCH, "device": device},
        "seed": number % SEEDS,
    }
    return plan_run(read_config(raw), overrides={})


def train(run: PlannedRun) -> float:
    """Train a run as a tutorial does, read its loss on the test set, and return the seconds that it takes: of CPU, or
    on a GPU of the wall.

    Where it is long, some of its steps are timed, and as many more are added as there are.
    """
    torch.set_num_threads(1)
    device = torch.device("cuda" if run.config.train.device == "cuda" else "cpu")
    clock = process_time if device.type == "cpu" else perf_counter
    began, config, quantities = clock(), run.config, run.quantities
    splits = load_splits(config, min(quantities.D, 1 << 16))
    module = config.model.build(config.data.shape, config.data.outputs, stream(config.seed, "init")).to(device)
    examples = TensorDataset(torch.from_numpy(splits.train.x.copy()), torch.from_numpy(splits.train.y.copy()))
    loader = DataLoader(examples, batch_size=quantities.batch, shuffle=True)
    optimizer = torch.optim.AdamW(module.parameters(), lr=config.optim.lr)
    stepping, steps = clock(), quantities.steps
    done = plain_steps(module, loader, optimizer, steps if steps <= STEPS else SAMPLED, exactly=True)
    ended = clock()
    module.eval()
    with torch.no_grad():
        x, y = torch.from_numpy(splits.test.x.copy()), torch.from_numpy(splits.test.y.copy())
        nn.functional.cross_entropy(module(x.to(device)), y.to(device)).item()
    return clock() - began + (ended - stepping) * (steps / done - 1)


@hydra.main(version_base="1.3", config_path=None)
def main(config: DictConfig) -> None:
    """Train the one run of a job, or all."""
    for number in [config.number] if "number" in config else range(RATES * SEEDS):
        train(planned(number))


if __name__ == "__main__":
    main()
