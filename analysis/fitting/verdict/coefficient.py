"""A coefficient that data estimate and a prior holds near 0, and draws of several of which at most one is there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, sqrt

import numpy as np

from analysis.laws.base import Array


@dataclass(frozen=True)
class Coefficient:
    """A coefficient's estimate, normal with mean and deviation; prior: its prior standard deviation about 0.

    weight: prior odds against no such coefficient.
    """

    mean: float
    deviation: float
    prior: float
    weight: float

    @property
    def trust(self) -> float:
        """Weight of the estimate against the prior, 0 to 1."""
        return self.prior**2 / (self.prior**2 + self.deviation**2)

    @property
    def posterior(self) -> tuple[float, float]:
        """Posterior mean and standard deviation."""
        return self.trust * self.mean, sqrt(self.trust) * self.deviation

    @property
    def odds(self) -> float:
        """Posterior odds against no such coefficient: Bayes factor times prior odds."""
        seen = sqrt(1 - self.trust) * exp(min(self.trust * (self.mean / self.deviation) ** 2 / 2, 500.0))
        return self.weight * seen


def amounts(found: Sequence[Coefficient], count: int, *, seed: int) -> Array:
    """Draw k coefficients (k, count): in each column that of one of them or none, by the posterior odds.

    They are evenly spaced quantiles of the mixture: the few large amounts, which its tails are, do not depend on luck.
    """
    from scipy.special import ndtri

    odds = np.array([1.0, *(one.odds for one in found)])
    ends = np.cumsum(odds / odds.sum())
    at = np.random.default_rng(seed).permutation(np.arange(count) + 0.5) / count
    which = np.minimum(np.searchsorted(ends, at), len(found))
    rank = 1 - (ends[which] - at) * odds.sum() / odds[which]
    z = ndtri(np.clip(rank, 1e-9, 1 - 1e-9))
    mean, deviation = np.array([one.posterior for one in found]).T[:, :, None]
    return np.where(which == np.arange(1, len(found) + 1)[:, None], mean + deviation * z, 0.0)
