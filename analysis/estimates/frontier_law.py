"""The law through a frontier: one for one frontier, or the same for several that are to be compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import takewhile
from typing import TYPE_CHECKING

import numpy as np

from analysis.errors import attempt

if TYPE_CHECKING:
    from analysis.estimates.frontier import Frontier
    from analysis.fitting.result import Fit
    from analysis.laws import Law

VISIBLE = 0.01
"""Share of the least compute on a frontier above which the shift b of its law must surely lie to be one."""


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
    """Fit a law to a frontier's points, by least squares: they are means of the best runs, so none is an outlier.

    The exponent of a power law is that of the frontier's own line. Its interval is the wider of the fit's and the
    line's; for the line, each resample chooses the best runs anew.
    """
    from analysis.fitting.fit import fit

    options = {"objective": objective, "resamples": resamples, "level": level, "seed": seed, "fix": fix, "tie": tie}
    points = front.table()[[front.x, front.y]]
    found = fit(points, law=law, y=front.y, x=front.x, **options)  # type: ignore[arg-type]
    return _with_chosen_anew(found, front) if found.law == "power" else found


def _with_chosen_anew(found: Fit, front: Frontier) -> Fit:
    own, line = found.intervals.get("alpha"), front.line.exponent_interval if front.line else None
    if not (own and line) or line[1] - line[0] <= own[1] - own[0]:
        return found
    return replace(found, intervals={**found.intervals, "alpha": (-line[1], -line[0])})


def common_law(fronts: Sequence[Frontier], *, resamples: int = 1000, level: float = 0.95) -> list[Fit | None]:
    """Fit one law to frontiers that are to be compared: the most detailed that holds on all of them, else a power law.

    Tried in order: E + a (b + C)^-alpha, the paper's; E + a C^-alpha; a C^-alpha. Exponents of different laws would say
    nothing of each other.
    """

    def fitted(law: str, front: Frontier) -> Fit | None:
        return attempt(partial(fit_frontier, front, law, resamples=resamples, level=level))[0]

    for law in ("shifted", "saturating"):
        found = list(takewhile(bool, (one if _holds(one := fitted(law, front), front) else None for front in fronts)))
        if len(found) == len(fronts):
            return found
    return [fitted("power", front) for front in fronts]


def _holds(found: Fit | None, front: Frontier) -> bool:
    """Tell whether a law has a sound certificate, and a floor and a shift that the best points show."""
    if found is None or found.certificate.status != "ok":
        return False
    E, least = found.params["E"], {name: interval[0] for name, interval in found.intervals.items()}
    floor = E > 0 and least.get("E", E) <= min(point.y for point in front.points)
    return floor and least.get("b", np.inf) > VISIBLE * front.points[0].x
