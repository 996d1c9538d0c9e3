"""Chance: the loss of the constant predictor. A model that has learnt something is below it."""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor


def constant_predictor(class_counts: np.ndarray, labels: np.ndarray) -> tuple[float, float | None]:
    """Return cross-entropy (nats) and its standard error on test `labels` of predicting the training class shares.

    Shares follow Laplace's rule of succession, so that the loss of a class unseen in training is finite.
    """
    shares = (class_counts + 1) / (class_counts.sum() + len(class_counts))
    return mean_and_error(-np.log(shares)[labels])


def mean_and_error(values: np.ndarray | Tensor) -> tuple[float, float | None]:
    """Return the mean of values (n,), an array or a tensor, and its standard error, None for a single value."""
    mean, n = values.mean(), len(values)
    squares = float(((values - mean) ** 2).sum())
    return float(mean), sqrt(squares / (n - 1) / n) if n > 1 else None
