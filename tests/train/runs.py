"""Small real runs, and a data set of their own to train on."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch

from scaling.config import part, read_config
from scaling.data.base import Arrays, DataSet, Metric, Splits, Stream
from scaling.folders import RunFolder
from scaling.plan.planned import PlannedRun, plan_run

CENTRES = np.random.default_rng(7).standard_normal((3, 6)).astype(np.float32)


@dataclass(frozen=True, kw_only=True)
class Blobs(DataSet):
    """Three noisy classes of six features; as bytes where `pixels`, images of (1, 2, 3), mapped from `file`."""

    name: ClassVar[str] = "blobs"
    classes: int = 3
    pixels: bool = False
    noise: float = 0.6
    file: str | None = part(None, identity=False)

    @property
    def shape(self) -> tuple[int, ...]:
        return (1, 2, 3) if self.pixels else (6,)

    def load(self, D_unique, *, stream_seed=0):
        train = self._draw(D_unique, 1) if D_unique else Stream(lambda i: self._draw(100, 5, stream_seed, i), chunk=100)
        scales = {"mean": (128.0,), "std": (20.0,)} if self.pixels else {}
        if self.file is not None:
            np.save(self.file, train.x)
            train = Arrays(np.load(self.file, mmap_mode="r"), train.y)
        return Splits(train, self._draw(200, 2), self._draw(300, 3), chance=float(np.log(3)), chance_se=0.0, **scales)

    def _draw(self, n, *seed):
        rng = np.random.default_rng((self.seed, *seed))
        y = rng.integers(3, size=n)
        x = CENTRES[y] + self.noise * rng.standard_normal((n, 6), dtype=np.float32)
        if self.pixels:
            x = np.clip(128 + 20 * x, 0, 255).astype(np.uint8).reshape(n, 1, 2, 3)
        return Arrays(x, y)


@dataclass(frozen=True, kw_only=True)
class Line(DataSet):
    """Regression: y is a fixed combination of four features, of variance 1, with a tenth of noise."""

    name: ClassVar[str] = "line"
    metric: ClassVar[Metric] = "squared_error"
    classes: int = 1
    theta: ClassVar[np.ndarray] = np.array([0.7, -0.5, 0.3, 0.4], dtype=np.float32)

    @property
    def shape(self) -> tuple[int, ...]:
        return (4,)

    def load(self, D_unique, *, stream_seed=0):
        train = self._draw(D_unique, 1) if D_unique else Stream(lambda i: self._draw(64, 5, stream_seed, i), chunk=64)
        return Splits(train, self._draw(200, 2), self._draw(300, 3), chance=1.0, chance_se=0.08)

    def _draw(self, n, *seed):
        rng = np.random.default_rng((self.seed, *seed))
        x = rng.standard_normal((n, 4), dtype=np.float32)
        return Arrays(x, x @ self.theta + 0.1 * rng.standard_normal(n, dtype=np.float32))


@dataclass(frozen=True, kw_only=True)
class Drawn(Blobs):
    """Blobs whose noise a user draws from the global streams of NumPy, Python and torch."""

    name: ClassVar[str] = "drawn"

    def _draw(self, n, *seed):
        blobs = super()._draw(n, *seed)
        noise = np.random.standard_normal((n, 6)) + random.random() + torch.rand(()).item()
        return Arrays((blobs.x + 0.1 * noise).astype(np.float32), blobs.y)


TARGETS = {
    "mlp": "scaling.models.mlp.MLP",
    "bottleneck": "scaling.models.bottleneck.Bottleneck",
    "linear": "scaling.models.linear.Linear",
    "custom": "scaling.models.custom.Custom",
    "blobs": f"{__name__}.Blobs",
    "line": f"{__name__}.Line",
    "drawn": f"{__name__}.Drawn",
    "npz": "scaling.data.npz.Npz",
    "teacher": "scaling.data.teacher.Teacher",
    "linear_teacher": "scaling.data.linear_teacher.LinearTeacher",
    "adamw": "scaling.optim.adamw.AdamW",
    "lion": "scaling.optim.lion.Lion",
    "sgd": "scaling.optim.sgd.SGD",
    "lstsq": "scaling.optim.lstsq.LeastSquares",
    "constant": "scaling.schedules.constant.Constant",
    "cosine": "scaling.schedules.cosine.Cosine",
    "wsd": "scaling.schedules.wsd.WarmupStableDecay",
    "none": "scaling.augment.none.Unchanged",
    "standard": "scaling.augment.standard.Standard",
}
SHAPE = {"width": 8, "depth": 1}


def planned(
    train: dict,
    *,
    model: dict | str = "mlp",
    data: dict | str = "blobs",
    optim: dict | str = "adamw",
    schedule: str = "cosine",
    augment: dict | str = "none",
    seed: int = 0,
) -> PlannedRun:
    """Plan a run; a part is a name, or its keys with the name under `is`."""
    model = {"is": model, **SHAPE} if isinstance(model, str) else model
    optim = {"is": optim, "lr": 0.01} if isinstance(optim, str) else optim
    config = {
        "model": _part(model),
        "data": _part(data),
        "optim": _part(optim),
        "schedule": _part(schedule),
        "augment": _part(augment),
        "train": {"batch": 32, **train},
        "seed": seed,
    }
    return plan_run(read_config(config), overrides={})


def _part(part: dict | str) -> dict:
    keys = {"is": part} if isinstance(part, str) else part
    return {"_target_": TARGETS[keys["is"]], **{key: value for key, value in keys.items() if key != "is"}}


def folder_of(run: PlannedRun, results: Path) -> RunFolder:
    """The run's folder in these results."""
    return RunFolder(results / "runs" / run.run_id)


def essence(record) -> dict:
    """A record without what depends on clock and machine."""
    raw = record.to_dict()
    del raw["how"]
    return raw


def stopped_after(asked: int) -> Callable[[], bool]:
    """A `stop` that is asked so often before it says yes: so many steps where it is asked at every one."""
    left = iter([False] * asked)
    return lambda: next(left, True)
