"""Locality of the first layer's filters: one number per filter, from the npz saved with a record."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

FILE = "filters.npz"
WINDOW = 0.25
"""Side of the window, as a share of the image's."""
NOISE_FILTERS = 256
"""Number of random filters over which the locality of noise is averaged."""


@dataclass(frozen=True)
class Filters:
    """The first layer of one run: weights (width, channels, height, width) and each filter's locality."""

    run_id: str
    weights: np.ndarray
    scores: np.ndarray

    @property
    def score(self) -> float:
        """Return the mean locality of the run's filters."""
        return float(self.scores.mean())


def locality(weights: np.ndarray) -> np.ndarray:
    """Score filters (n, channels, height, width) in [0, 1]: 0 spread evenly, 1 within a sixteenth of the image.

    From the share s of a filter's energy (squared weights) in the best square window of a quarter of the image's side
    and the share s0 = window / image of uniform energy: (s - s0) / (1 - s0).
    """
    energy = np.square(np.asarray(weights, dtype=float)).sum(axis=1)
    n, height, width = energy.shape
    side_y, side_x = max(1, round(WINDOW * height)), max(1, round(WINDOW * width))
    total = np.zeros((n, height + 1, width + 1))
    total[:, 1:, 1:] = energy.cumsum(axis=1).cumsum(axis=2)
    rows = total[:, side_y:] - total[:, :-side_y]
    inside = rows[:, :, side_x:] - rows[:, :, :-side_x]
    whole = total[:, -1, -1]
    share = np.divide(inside.reshape(n, -1).max(axis=1), whole, out=np.zeros(n), where=whole > 0)
    even = side_y * side_x / (height * width)
    return np.clip((share - even) / (1 - even), 0.0, 1.0)


def locality_of_noise(shape: tuple[int, ...]) -> float:
    """Return the mean locality of filters (channels, height, width) of independent uniform weights, as at the start."""
    return float(locality(np.random.default_rng(0).uniform(-1, 1, (NOISE_FILTERS, *shape))).mean())


def read_filters(runs: Path, run_id: str) -> Filters | None:
    """Read one run's filters; None where none were saved or the data are not images."""
    try:
        with np.load(runs / run_id / FILE, allow_pickle=False) as stored:
            weights = stored["filters"].astype(np.float32)
    except (OSError, KeyError, ValueError):
        return None
    return Filters(run_id, weights, locality(weights)) if weights.ndim == 4 else None


def filters_of(rows: pd.DataFrame, runs: Path) -> dict[str, Filters]:
    """Return the filters of the runs that saved them, by run_id."""
    found = (read_filters(runs, str(run_id)) for run_id in rows["run_id"].unique())
    return {one.run_id: one for one in found if one is not None}
