"""The skew that the isoFLOP curves of all budgets share, and how well they determine it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from analysis.estimates.valleys.curve import EXACT, Parabola, Valley, find_minima

PRIOR = 0.2
"""Prior standard deviation of the skew: beta - alpha of a Chinchilla law, whose exponents are about .2 to .5."""
MOST = 1.0
"""Largest skew."""
FEWEST = 3
"""Minimum residual degrees of freedom for estimating the noise, beyond the skew."""
STEPS = 4
"""Gauss-Newton steps."""
STEP = 0.02
"""Step of the derivative by the skew."""
DRAWS = 20
"""Number of values of the skew among the resamples."""


@dataclass(frozen=True)
class Skew:
    """The posterior of the skew: Student's t with mean and scale, from a normal prior about 0.

    freedom: degrees of freedom, those of the noise where residuals determine the skew; infinite for the prior alone.
    prior: standard deviation of the prior.
    """

    mean: float = 0.0
    deviation: float = PRIOR
    freedom: float = np.inf
    prior: float = PRIOR

    @property
    def absorbed(self) -> float:
        """Return the degrees of freedom that the skew takes from the residuals: from 0, the prior alone, to 1."""
        return 1 - (self.deviation / self.prior) ** 2

    def draws(self) -> tuple[Parabola, ...]:
        """Return curves whose skews are evenly spaced quantiles."""
        from scipy.special import stdtrit

        quantiles = stdtrit(self.freedom, (np.arange(DRAWS) + 0.5) / DRAWS)
        return tuple(Parabola(self.mean + self.deviation * float(t)) for t in quantiles)


def common_skew(valleys: Sequence[Valley]) -> Skew:
    """Estimate the skew of all curves from the residuals of parabolas, weighted by the number of seeds."""
    usable = [one for one in valleys if one.freedom > 0 and np.isfinite(one.curve.u[0])]
    return skew_of(partial(_rests, usable), sum(one.freedom for one in usable) - 1)


def skew_of(rests: Callable[[float], np.ndarray], spare: int, *, prior: float = PRIOR) -> Skew:
    """Estimate the skew by the residuals of curves with that skew; spare: their degrees of freedom."""
    found = Skew(deviation=prior, prior=prior)
    if spare < FEWEST:
        return found
    for _ in range(STEPS):
        rest, low, high = (rests(found.mean + step) for step in (0.0, -STEP, STEP))
        slope = (high - low) / (2 * STEP)
        noise = max(float(rest @ rest) / spare, EXACT**2)
        known = float(slope @ slope) / noise + prior**-2
        step = -(float(slope @ rest) / noise + found.mean * prior**-2) / known
        found = replace(found, mean=float(np.clip(found.mean + step, -MOST, MOST)), deviation=known**-0.5)
    return replace(found, freedom=spare / max(found.absorbed, 1e-9) ** 2)


def _rests(valleys: Sequence[Valley], skew: float) -> np.ndarray:
    """Return the relative residuals of all curves with this skew, times the root of their number of seeds."""
    parts = []
    for one in valleys:
        curve = find_minima(one.u, one.means[None], Parabola(skew))
        rest = one.means[curve.fitted_at] / curve.fitted - 1
        parts.append(rest * np.sqrt(one.seeds[curve.fitted_at]))
    return np.concatenate(parts)
