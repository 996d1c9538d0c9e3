"""The noise of a run about its isoFLOP curve, and the minima of curves resampled with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from analysis.estimates.valleys.curve import EXACT, FEWEST_SIZES, Parabola, Shape, Valley, find_minima
from analysis.fitting.verdict.run_residuals import tail
from analysis.table.cells import seed_deviations

FEWEST = 8
"""Minimum number of deviations of seeds for taking the noise from them."""
LIKELY = 0.05
"""Significance level at which the curves' residuals exceed the scatter of seeds."""
SCATTERED = "sizes scatter about the curves more than their seeds explain; the intervals are of that scatter"


@dataclass(frozen=True)
class Noise:
    """Relative deviations (n,) of single runs, to resample from, and their degrees of freedom; both may be empty.

    warning: a sentence if they are residuals of the curves although there are repeated seeds; else ''.
    """

    deviations: np.ndarray
    freedom: float
    warning: str = ""

    @property
    def size(self) -> float:
        """Return the standard deviation of one run, as a share of y."""
        return float(np.sqrt(np.mean(self.deviations**2))) if len(self.deviations) else 0.0

    def scales(self, resamples: int, rng: np.random.Generator) -> np.ndarray:
        """Draw by how much the true noise may exceed this estimate of it."""
        return np.sqrt(self.freedom / rng.chisquare(self.freedom, resamples))


def noise_of(rows: pd.DataFrame, valleys: Sequence[Valley], y: str, *, absorbed: float) -> Noise:
    """Take the noise from deviations of seeds from their means, or else from residuals of the curves.

    The residuals also serve where they exceed the scatter of seeds: then the seeds of a setting have a deviation in
    common, and more of them do not average it out. The noise is at least `EXACT`. absorbed: degrees of freedom of the
    residuals that the shape of all curves takes.
    """
    seeds = Noise(seed_deviations(rows, y), float(sum((one.seeds - 1).sum() for one in valleys)))
    found = _of_residuals(valleys, absorbed)
    if len(seeds.deviations) >= FEWEST:
        found = replace(found, warning=SCATTERED) if _exceeds(found, seeds) else seeds
    return replace(found, deviations=found.deviations * max(1.0, EXACT / max(found.size, 1e-300)))


def _of_residuals(valleys: Sequence[Valley], absorbed: float) -> Noise:
    """Return the residuals of the curves, scaled to those of single runs."""
    spare = [one for one in valleys if one.freedom > 0]
    total = sum(one.freedom for one in spare)
    freedom = max(total - absorbed, 1.0) if spare else 0.0
    rests = (
        one.rest * np.sqrt(one.seeds[one.curve.fitted_at] * len(one.rest) / one.freedom * total / freedom)
        for one in spare
    )
    return Noise(np.concatenate([np.empty(0), *rests]), freedom)


def _exceeds(rests: Noise, seeds: Noise) -> bool:
    """Tell whether the variance of residuals exceeds that of seeds (F test)."""
    if not rests.freedom:
        return False
    ratio = (rests.size / max(seeds.size, EXACT)) ** 2
    return tail(ratio, int(rests.freedom), int(seeds.freedom)) < LIKELY


def draw_minima(
    valleys: Sequence[Valley],
    curves: Sequence[Parabola | Shape],
    noise: Noise,
    wide: dict[float, float],
    resamples: int,
    seed: int,
) -> list[np.ndarray]:
    """Return each budget's resampled log N* (-inf or inf outside the sizes run).

    A resample has one scale of the noise and one of the curves, taken in turn, at all budgets. wide: multiples of the
    noise at some budgets. Empty without noise, and for budgets of few sizes.
    """
    if not (resamples and len(noise.deviations)):
        return [np.empty(0)] * len(valleys)
    rng = np.random.default_rng(seed)
    scales = noise.scales(resamples, rng.spawn(1)[0])
    return [
        _draw(valley, curves, noise.deviations * wide.get(valley.budget, 1.0), scales, rng)
        if len(np.unique(valley.u)) >= FEWEST_SIZES
        else np.empty(0)
        for valley in valleys
    ]


def _draw(
    valley: Valley,
    curves: Sequence[Parabola | Shape],
    deviations: np.ndarray,
    scales: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    jitter = np.stack([rng.choice(deviations, (len(scales), k)).mean(axis=1) for k in valley.seeds], axis=1)
    centre = valley.means.copy()
    centre[valley.curve.fitted_at] = valley.curve.fitted
    draws, responses = np.empty(len(scales)), centre * (1 + scales[:, None] * jitter)
    for k, shape in enumerate(curves):
        draws[k :: len(curves)] = find_minima(valley.u, responses[k :: len(curves)], shape).u
    return draws
