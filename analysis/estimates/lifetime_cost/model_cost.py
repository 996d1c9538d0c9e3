"""The cost of training and inference as a function of N and D, in FLOPs or measured seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from analysis.errors import UserError
from analysis.table.columns import require_columns
from analysis.wording import listed

if TYPE_CHECKING:
    import pandas as pd

    from analysis.laws.base import Array

FLOPS, ONE_BY_ONE, IN_BATCHES = "FLOPs", "seconds, one by one", "seconds, in batches"
SHARE = 1 / 3
"""Share of the forward pass in the FLOPs of a training step: 2 N of 6 N per example."""
LARGER = 4.0
"""Search range in log N above the training-optimal model for costs in seconds: the time of a small model is mostly
overhead, so a larger one may take no longer."""
SIZES = ("N", "N_total")
"""The parameter counts in efficiency.csv."""


@dataclass(frozen=True)
class ModelCost:
    """Log cost of a model: training from log N and log D, use (inference) from log N. measured: smallest, largest N."""

    unit: str
    training: Callable[[Array, Array], Array]
    use: Callable[[Array], Array]
    larger: float = 0.0
    measured: tuple[float, float] | None = None
    remarks: tuple[str, ...] = ()

    def total(self, log_N: Array, log_D: Array) -> Array:
        """Return the log total of training and inference."""
        return np.logaddexp(self.training(log_N, log_D), self.use(log_N))


def in_flops(k: float, inference: float) -> ModelCost:
    """Return the cost in FLOPs: k N D for training, k N / 3 per inference example."""
    with np.errstate(divide="ignore"):
        used = np.log(SHARE * k) + np.log(inference)
    return ModelCost(FLOPS, lambda log_N, log_D: np.log(k) + log_N + log_D, lambda log_N: used + log_N)


def in_seconds(path: Path | str, rows: pd.DataFrame, *, size: str, inference: float) -> tuple[ModelCost, ...]:
    """Return the costs in seconds, with inference one by one and in batches; training takes the runs' own seconds.

    path: an efficiency.csv of `scaling measure`. rows: final rows of runs with N, D and seconds. size: the column used
    as the law's N. Raises `UserError` where the file or the rows lack the times.
    """
    measured = _measured(Path(path), rows, size)
    if "seconds" not in rows.columns or not (rows["seconds"] > 0).any():
        raise UserError(f"found no seconds of training in the table; wanted them, to set those of {path} beside them")
    require_columns(rows, [size, "D"])
    taken = rows[rows["seconds"] > 0]
    training = _curve(taken[size], taken["seconds"] / taken["D"])
    ways = {ONE_BY_ONE: measured["latency_ms"] / 1e3, IN_BATCHES: 1 / measured["throughput"]}
    with np.errstate(divide="ignore"):
        log_use = np.log(inference)
    sizes = (float(measured[size].min()), float(measured[size].max()))
    remarks = _remarks(taken, measured)

    def cost(unit: str, use: Curve) -> ModelCost:
        trained, used = lambda N, D: training.at(N) + D, lambda N: use.at(N) + log_use
        return ModelCost(unit, trained, used, LARGER, sizes, remarks)

    return tuple(cost(unit, _curve(measured[size], each)) for unit, each in ways.items())


@dataclass(frozen=True)
class Curve:
    """Log seconds per example at log N, both (k,), sorted by N.

    Linear interpolation; constant below the smallest size (overhead), proportional to N above the largest.
    """

    log_N: Array
    log_seconds: Array

    def at(self, log_N: Array) -> Array:
        """Return log seconds per example at log N."""
        beyond = np.maximum(0.0, log_N - self.log_N[-1])
        return np.asarray(np.interp(log_N, self.log_N, self.log_seconds) + beyond)


def _curve(sizes: pd.Series, seconds: pd.Series) -> Curve:
    """Return the median seconds per example at each size."""
    medians = seconds.groupby(sizes.astype(float)).median().sort_index()
    return Curve(np.log(medians.index.to_numpy(float)), np.log(medians.to_numpy(float)))


def _measured(path: Path, rows: pd.DataFrame, size: str) -> pd.DataFrame:
    """Read an efficiency.csv of `scaling measure`, restricted to the runs' model families."""
    import pandas as pd

    if size not in SIZES:
        raise UserError(f"found {size} as the law's N; {path} has {listed(SIZES)}; take one of them, or FLOPs alone")
    try:
        found = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise UserError(f"found no measured models in {path}; wanted what `scaling measure` writes; run it") from error
    require_columns(found, [size, "latency_ms", "throughput"])
    families = sorted(set(rows["family"].dropna())) if "family" in rows.columns else []
    if families and "family" in found.columns:
        found = found[found["family"].isin(families)]
    if found.empty or not (found[[size, "latency_ms", "throughput"]] > 0).all(axis=None):
        raise UserError(f"found no model of {listed(families)} in {path}; wanted positive times of some; measure them")
    return found


def _remarks(rows: pd.DataFrame, measured: pd.DataFrame) -> tuple[str, ...]:
    """Report where the runs and the measurement used different devices."""
    if "device" not in rows.columns or "device" not in measured.columns:
        return ()
    trained, used = (_names(one["device"].dropna()) for one in (rows, measured))
    return () if trained == used else (f"trained on {listed(trained)}, measured on {listed(used)}",)


def _names(devices: Iterable[str]) -> list[str]:
    return sorted({str(device).partition(",")[0] for device in devices})  # without the number of threads
