"""The loss of the constant predictor: what a model has to beat before it has learnt anything."""

from __future__ import annotations

import numpy as np


def constant_predictor(class_counts: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Return cross-entropy (nats) and its standard error on test `labels` of predicting the training class shares.

    Shares follow Laplace's rule of succession, so that a class unseen in training costs much but not infinity.
    """
    shares = (class_counts + 1) / (class_counts.sum() + len(class_counts))
    losses = -np.log(shares)[labels]
    return mean_and_error(losses)


def mean_and_error(losses: np.ndarray) -> tuple[float, float]:
    """Return the mean of per-example losses and its standard error."""
    return float(losses.mean()), float(losses.std(ddof=1) / np.sqrt(len(losses)))
