"""What the curves of all optima share: their skew, and the noise about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.estimates.tuning.paraboloid import fit_paraboloid, parameters
from analysis.estimates.valleys.curve import Parabola
from analysis.estimates.valleys.skew import Skew, skew_of
from analysis.table.cells import seed_deviations

SKEWED = 0.3
"""Prior standard deviation of the skew: at .3, the loss rises 1.35 times as steeply a factor of 4.5 above the best key
as below it."""

FEW_DEVIATIONS = 8
"""Minimum number of deviations of seeds from their mean for using them as noise; with fewer, residuals are used."""


@dataclass(frozen=True)
class Deviations:
    """The skew of the curves of one key, and relative noise of a run to resample from (empty where it is unknown)."""

    skew: Skew
    noise: np.ndarray


def common_deviations(
    groups: Sequence[pd.DataFrame], tables: Sequence[pd.DataFrame], keys: list[str], y: str
) -> Deviations:
    """Estimate what the curves share; groups: the rows of each N and D; tables: their `mean_responses`."""
    skew = _skew(tables, keys)
    deviations = np.concatenate([seed_deviations(group, y, keys) for group in groups])
    if len(deviations) < FEW_DEVIATIONS:
        deviations = np.concatenate([_residual_deviations(table, keys, Parabola(skew.mean)) for table in tables])
    return Deviations(skew, deviations)


def mean_responses(group: pd.DataFrame, keys: list[str], y: str) -> pd.DataFrame:
    """Return the mean of y over runs with equal keys: columns of the keys, mean and n."""
    return group.groupby(keys, sort=True)[y].agg(mean="mean", n="size").reset_index()


def _skew(tables: Sequence[pd.DataFrame], keys: list[str]) -> Skew:
    """Estimate the skew that the curves of one key share, from all residuals; none for several keys."""
    if len(keys) > 1:
        return Skew(deviation=0.0)
    curves = []
    for table in tables:
        z, means = np.log(table[keys].to_numpy(float)), table["mean"].to_numpy(float)
        found = fit_paraboloid(z, means[None])
        if found is not None and np.isfinite(found.minima()).all():
            curves.append((z, means, np.sqrt(table["n"].to_numpy(float))[found.window]))

    def rests(skew: float) -> np.ndarray:
        return np.concatenate([_deviations(z, means, Parabola(skew)) * root for z, means, root in curves])

    spare = sum(len(root) - parameters(1) for *_, root in curves) - 1
    return skew_of(rests, spare, prior=SKEWED)


def _deviations(z: np.ndarray, means: np.ndarray, shape: Parabola) -> np.ndarray:
    """Return the relative deviations of the fitted values from their paraboloid; none without one."""
    found = fit_paraboloid(z, means[None], shape)
    return np.empty(0) if found is None else means[found.window] / found.value(z[found.window]) - 1


def _residual_deviations(table: pd.DataFrame, keys: list[str], shape: Parabola) -> np.ndarray:
    rest = _deviations(np.log(table[keys].to_numpy(float)), table["mean"].to_numpy(float), shape)
    return rest * np.sqrt(len(rest) / (len(rest) - parameters(len(keys)))) if len(rest) else rest
