"""Laws fitted to frontiers: one for one frontier, or a common one for frontiers to be compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import takewhile
from typing import TYPE_CHECKING

import numpy as np

from analysis.errors import UserError, attempt
from analysis.estimates.frontier import Frontier
from analysis.fitting.fit import fit

if TYPE_CHECKING:
    from analysis.fitting.result import Fit
    from analysis.laws import Law

VISIBLE = 0.01
"""A law's shift b is significant if its interval lies above this share of the smallest compute on the frontier."""


def fit_frontier(
    front: Frontier,
    law: str | Law,
    *,
    objective: str = "lsq",
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
    fix: Mapping[str, float] | None = None,
    tie: Mapping[str, str] | None = None,
) -> Fit:
    """Fit a law to a frontier's points by least squares; as means of the best runs they contain no outliers.

    A power law has the exponent of the frontier's line. Its interval is the wider of the fit's and the line's, where
    the line's resamples reselect the best runs.
    """
    if not isinstance(front, Frontier):
        raise UserError(f"found a {type(front).__name__}; wanted what frontier(table) returns; find that first")
    options = {"objective": objective, "resamples": resamples, "level": level, "seed": seed, "fix": fix, "tie": tie}
    points = front.table()[[front.x, front.y]]
    found = fit(points, law=law, y=front.y, x=front.x, **options)  # type: ignore[arg-type]
    return _with_chosen_anew(found, front) if found.law == "power" else found


def _with_chosen_anew(found: Fit, front: Frontier) -> Fit:
    own, line = found.intervals.get("alpha"), front.line.exponent_interval if front.line else None
    if not (own and line) or line[1] - line[0] <= own[1] - own[0]:
        return found
    return replace(found, intervals={**found.intervals, "alpha": (-line[1], -line[0])})


def common_law(fronts: Sequence[Frontier], *, resamples: int, level: float) -> list[Fit | None]:
    """Fit one law to several frontiers: the most detailed one that passes on all of them, else a power law.

    Tried in order: E + a (b + C)^-alpha, the paper's; E + a C^-alpha; a C^-alpha. Exponents of different laws are not
    comparable.
    """

    def fitted(law: str, front: Frontier) -> Fit | None:
        return attempt(partial(fit_frontier, front, law, resamples=resamples, level=level))[0]

    for law in ("shifted", "saturating"):
        found = list(takewhile(bool, (one if _holds(one := fitted(law, front), front) else None for front in fronts)))
        if len(found) == len(fronts):
            return found
    return [fitted("power", front) for front in fronts]


def _holds(found: Fit | None, front: Frontier) -> bool:
    """Tell whether a law has an ok certificate, and a floor and a shift that the points identify."""
    if found is None or found.certificate.status != "ok":
        return False
    E, least = found.params["E"], {name: interval[0] for name, interval in found.intervals.items()}
    floor = E > 0 and least.get("E", E) <= min(point.y for point in front.points)
    return floor and least.get("b", np.inf) > VISIBLE * front.points[0].x
