"""A user's own targets, from an .npz file like that of data=npz: a regression."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from pydantic import PositiveInt

from scaling.data.base import Arrays, Metric
from scaling.data.finite import Whole
from scaling.data.npz import OTHER_UNITS, Npz
from scaling.errors import UserError

ENOUGH = 10  # held-out targets of which a small spread means something
NORMAL_SPAN = 3.29  # standard deviations between the 5 % and the 95 % quantile of a normal distribution


@dataclass(frozen=True, kw_only=True)
class NpzRegression(Npz):
    """Regress one number an example, y_train of shape (n,) or (n, 1); the rest is as in data=npz.

    Targets are brought to mean 0 and variance 1 on the training examples, so that a loss is in units of Var(y); their
    mean and deviation stand in the record.
    """

    name: ClassVar[str] = "npz_regression"
    metric: ClassVar[Metric] = "squared_error"

    classes: PositiveInt = 1

    def read(self) -> Whole:
        """Read the file, and scale the targets of all splits by those of the training examples."""
        whole = super().read()
        y = whole.train.y.astype(np.float64)
        with np.errstate(over="ignore"):
            mean, std = float(y.mean()), float(y.std())
        if not np.isfinite(std):
            raise UserError(
                f"found targets up to {np.abs(y).max():.3g} in {self.path}, whose variance is beyond "
                f"all numbers; wanted smaller ones; give them another unit"
            )
        if not std > 0:
            raise UserError(f"found targets that are all {mean:g} in {self.path}; wanted some that differ; mend them")

        def scaled(arrays: Arrays) -> Arrays:
            return Arrays(arrays.x, ((arrays.y.astype(np.float64) - mean) / std).astype(np.float32))

        train, validation, test = map(scaled, (whole.train, whole.validation, whole.test))
        self._check_targets(whole.train.y, whole.validation.y, "val")
        self._check_targets(whole.train.y, whole.test.y, "test")
        facts = {**whole.facts, "target_mean": mean, "target_std": std}
        return replace(whole, train=train, validation=validation, test=test, facts=facts)

    def _check_targets(self, train: np.ndarray, held: np.ndarray, name: str) -> None:
        """Raise UserError if held-out targets are in other units than those of training.

        Both the deviation and the quantiles must differ: a few extreme targets may dominate the deviation, and the
        quantiles say nothing if most targets are equal, as for rare events.
        """
        (centres, spreads), (middles, others) = _moments(train), _moments(held)
        if not spreads.all():
            return
        distance, ratios = float((abs(middles - centres) / spreads).min()), others / spreads
        small = len(held) >= ENOUGH and ratios.all() and ratios.max() < 1 / OTHER_UNITS
        if small or max(distance, ratios.min()) > OTHER_UNITS:
            raise UserError(
                f"found y_{name} of {self.path} with {ratios[0]:.3g} times the standard deviation of y_train, "
                f"{distance:.3g} such deviations from its mean; wanted both in the same units; scale one"
            )

    def _labels(self, y: np.ndarray, name: str) -> np.ndarray:
        """Return the targets of a split, (n,) float64; UserError if they are not one finite number an example."""
        y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
        if y.ndim != 1 or y.dtype.kind not in "fiu" or not np.isfinite(y).all():
            raise UserError(
                f"found y_{name} of type {y.dtype} and shape {y.shape} in {self.path}; wanted one finite number an "
                f"example; change it"
            )
        return y.astype(np.float64)


def _moments(y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean and the median of targets, and their deviation by the variance and by quantiles."""
    low, middle, high = np.quantile(y, [0.05, 0.5, 0.95], method="nearest")
    return np.array([y.mean(), middle]), np.array([y.std(), (high - low) / NORMAL_SPAN])
