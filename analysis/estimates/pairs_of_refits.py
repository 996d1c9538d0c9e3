"""Make the refits of two fits independent, so that their differences scatter as the difference of the fits does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from analysis.fitting.resample import WEIGHTS, nearly_absolute, refit
from analysis.fitting.result import Fit


def with_weighted_refits(found: Fit) -> Fit:
    """Return a fit by nearly absolute errors with refits that give each run a random weight, where they drew runs."""
    engine, samples = found.engine, found.engine.samples
    jumps = nearly_absolute(engine.problem.objective, engine.residuals)
    if samples is None or found.card["resample"] != "runs" or not jumps:
        return found
    count, seed = samples.shape[1], found.card["seed"]
    again = refit(engine.problem, engine.points, engine.theta[:, None], count=count, resample=WEIGHTS, seed=seed)
    return replace(found, engine=replace(engine, samples=again.theta))


def unpaired(found: Fit) -> Fit:
    """Renumber the refits, so that they are independent of those with the same number in a fit of the same seed.

    With one seed, runs in the same places of two tables get the same weights or signs, and refits deviate together.
    """
    assert found.engine.samples is not None, "such fits are refused before"
    return replace(found, engine=replace(found.engine, samples=np.roll(found.engine.samples, 1, axis=1)))
