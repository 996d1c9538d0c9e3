"""Lack of fit of isoFLOP curves: kinks, flat floors, minima above measured losses, unequal scatter."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from analysis.estimates.valleys.curve import EXACT, Valley
from analysis.fitting.verdict.run_residuals import tail
from analysis.numbers import flops, percent

UNLIKELY = 0.01
"""Significance level of a lack of fit."""
DEEP = 0.03
"""Share of the curves' depth from which a common deviation from them counts as lack of fit."""
FEWEST = 4
"""Minimum residual degrees of freedom of a test."""
ABOVE = 3.0
"""Standard errors above the lowest mean from which a curve's minimum counts as too high."""
LEAST = 1e-3
"""Share of y below which that difference is negligible."""


def misfits(valleys: Sequence[Valley], noise: float) -> tuple[str, ...]:
    """Return a sentence, with a remedy, for each lack of fit of the curves.

    noise: standard deviation of one run, as a share of y.
    """
    return (*_bent(valleys), *_above(valleys, noise))


def unequal(valleys: Sequence[Valley]) -> dict[float, float]:
    """Return the budgets whose residuals are significantly larger than the others', with the ratio."""
    squares = np.array([float((one.rest**2).sum()) for one in valleys])
    freedom = np.array([one.freedom for one in valleys])
    found = {}
    for i, one in enumerate(valleys):
        own, others = freedom[i], int(freedom.sum() - freedom[i])
        if own < 1 or others < FEWEST:
            continue
        rest = (squares.sum() - squares[i]) / others
        F = squares[i] / own / max(rest, EXACT**2)
        if tail(F, own, others) * len(valleys) < UNLIKELY and F > 1:
            found[one.budget] = float(np.sqrt(F))
    return found


def scatter_words(found: dict[float, float]) -> str:
    """List the budgets with larger residuals than the others."""
    listed = ", ".join(f"{flops(budget)} FLOPs ({times:.1f}×)" for budget, times in found.items())
    return f"budgets scatter unequally about their curves: {listed}; more sizes near their minimum would help"


def _bent(valleys: Sequence[Valley]) -> list[str]:
    """Test for a deviation common to all curves: a kink at the best size, or a flat floor about the minimum."""
    usable = [one for one in valleys if one.freedom > 0 and np.isfinite(one.curve.u[0])]
    spare = sum(one.freedom for one in usable) - 2
    if spare < FEWEST:
        return []
    by_lowest = _shared(usable, [float(one.u[np.argmin(one.means)]) for one in usable], spare)
    by_minimum = _shared(usable, [float(one.curve.u[0]) for one in usable], spare)
    p, size = min(by_lowest, by_minimum)
    if size < DEEP or 2 * p > UNLIKELY:
        return []
    return [
        f"the curves are not parabolas: their points share a kink or a flat floor of {percent(size)} of their depth; "
        "use sizes closer to each minimum, or a law of N and D"
    ]


def _shared(valleys: Sequence[Valley], centres: Sequence[float], spare: int) -> tuple[float, float]:
    """Fit a common kink and floor about these centres to all residuals; return the p value and their share of depth."""
    rests, shapes = [], []
    for one, centre in zip(valleys, centres, strict=True):
        at = one.curve.fitted_at
        v = (one.u[at] - centre) / np.ptp(one.u[at])
        depth = max(float(np.ptp(one.curve.fitted / one.curve.fitted.min())), 1e-12)
        basis = np.stack([np.ones_like(v), v, v**2], axis=1)
        own = np.stack([one.rest / depth, np.abs(v), v**4], axis=1)
        own = own - basis @ np.linalg.lstsq(basis, own, rcond=None)[0]
        rests.append(own[:, 0])
        shapes.append(own[:, 1:])
    rest, shape = np.concatenate(rests), np.concatenate(shapes)
    shared = shape @ np.linalg.lstsq(shape, rest, rcond=None)[0]
    left = max(float(((rest - shared) ** 2).sum()), 1e-300) / spare
    return tail(float((shared**2).sum()) / 2 / left, 2, spare), float(np.sqrt((shared**2).mean()))


def _above(valleys: Sequence[Valley], noise: float) -> list[str]:
    high = []
    for one in valleys:
        lowest = int(np.argmin(one.means))
        gap = float(one.curve.y[0] / one.means[lowest] - 1)
        if gap > max(LEAST, ABOVE * noise / np.sqrt(one.seeds[lowest])):
            high.append(one.budget)
    if len(high) <= len(valleys) / 3:
        return []
    listed = ", ".join(flops(budget) for budget in high)
    return [
        f"the minimum of the curve lies above a measured mean at {len(high)} of {len(valleys)} budgets ({listed} "
        "FLOPs): the minimum is sharper than the curve; use sizes closer to it"
    ]
