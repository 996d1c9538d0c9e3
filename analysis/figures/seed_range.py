"""Compute and draw means over seeds with the seeds' range."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes


@dataclass(frozen=True)
class SeedRange:
    """The mean over seeds at each x, the lowest and the highest seed."""

    x: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray


def seed_range(rows: pd.DataFrame, x: str, y: str) -> dict[str, np.ndarray]:
    """Return the fields of a `SeedRange` of column y over column x."""
    by = rows.groupby(x)[y].agg(mean="mean", low="min", high="max")
    by["mean"] = by["mean"].clip(by["low"], by["high"])  # of equal values, a mean may be off by rounding
    return {"x": by.index.to_numpy(float)} | {name: by[name].to_numpy(float) for name in by.columns}


def draw_range(ax: Axes, line: SeedRange, **style: Any) -> None:
    """Draw the means with bars from the lowest to the highest seed."""
    ax.errorbar(line.x, line.mean, yerr=np.stack([line.mean - line.low, line.high - line.mean]), **style)


def ends_of(lines: Iterable[SeedRange]) -> tuple[np.ndarray, np.ndarray]:
    """Return all x, and the ends of all ranges, for the limits of axes."""
    lines = list(lines)
    ends = [end for line in lines for end in (line.low, line.high)]
    return np.concatenate([line.x for line in lines]), np.concatenate(ends)
