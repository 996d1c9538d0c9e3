"""Variance between seeds: weights for a fit, and the lack-of-fit test of a law against it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.errors import Refusal
from analysis.fitting.points import Points, codes, setting_numbers
from analysis.laws.base import Array

FEWEST = 4
"""Minimum number of cells with more than one seed for modelling their variance."""


@dataclass(frozen=True)
class LackOfFit:
    """The F test of lack of fit: deviations of the cell means from the law against the variance between seeds."""

    F: float
    p_value: float
    cells: int
    degrees_of_freedom: tuple[int, int]
    seed_scatter: float

    @property
    def systematic(self) -> float:
        """The law's systematic error: rms deviation of the cell means in excess of the variance between seeds."""
        rows = self.cells + self.degrees_of_freedom[1]
        return self.seed_scatter * float(np.sqrt(max(0.0, self.F - 1) * self.cells / rows))


def cell_numbers(points: Points) -> Array:
    """Return the cell number of each row; rows of one cell have equal inputs, N and D and differ in seed alone."""
    sizes = {name: points.details[name] for name in ("N", "D") if name in points.details}
    known = {name: values for name, values in sizes.items() if np.isfinite(values).all()}
    return codes(setting_numbers({**points.inputs, **known}))


def weights_from_seeds(points: Points, response: Array) -> Array:
    """Return the inverse variance between seeds for each row, smoothed over the inputs and scaled to mean 1.

    The variance within cells is modelled as a power law in each input: a regression of log variance, weighted by
    degrees of freedom.
    """
    cell = cell_numbers(points)
    count = np.bincount(cell)
    many = count > 1
    if many.sum() < FEWEST:
        raise Refusal(
            f"found {int(many.sum())} settings with more than one seed; weights from seeds need at least {FEWEST}; "
            "leave weights out"
        )
    mean = np.bincount(cell, response) / count
    variance = np.bincount(cell, (response - mean[cell]) ** 2)[many] / (count[many] - 1)
    variance = np.maximum(variance, 1e-4 * np.median(variance) + 1e-30)
    logs = np.stack([np.log(x) for x in points.inputs.values()], axis=1)
    logs = np.column_stack([np.ones(len(logs)), logs - logs.mean(axis=0)])
    first = np.array([np.argmax(cell == k) for k in np.flatnonzero(many)])
    freedom = np.sqrt(count[many] - 1.0)
    size = logs.shape[1]
    # A ridge on the slopes: few cells do not determine how noise depends on three inputs.
    gram = (logs[first] * freedom[:, None]).T @ (logs[first] * freedom[:, None]) + np.diag([0.0] + [1.0] * (size - 1))
    model = np.linalg.solve(gram, (logs[first] * freedom[:, None]).T @ (np.log(variance) * freedom))
    weights = np.exp(-(logs @ model))
    return weights / weights.mean()


def lack_of_fit(points: Points, residuals: Array, parameters: int) -> LackOfFit | None:
    """Test residuals (n,) for lack of fit against the variance within cells; None with too few repeats or cells."""
    cell = cell_numbers(points)
    count = np.bincount(cell)
    spare, repeats = len(count) - parameters, int((count - 1).sum())
    if repeats < 3 or spare < 1:
        return None
    mean = np.bincount(cell, residuals) / count
    pure = float(((residuals - mean[cell]) ** 2).sum()) / repeats
    if pure <= 0:
        return None
    F = float((count * mean**2).sum()) / spare / pure
    from scipy.special import fdtrc

    return LackOfFit(F, float(fdtrc(spare, repeats, F)), len(count), (spare, repeats), float(np.sqrt(pure)))
