"""The hold-out of a fit: its error on the largest third of the points when fitted to the rest."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from analysis.errors import Refusal
from analysis.fitting.certificate import LEVEL
from analysis.fitting.engine import fit_points
from analysis.fitting.intervals import percentile
from analysis.fitting.points import Points, check_determined
from analysis.fitting.result import Fit
from analysis.fitting.settings import Settings
from analysis.fitting.verdict.run_residuals import clipped
from analysis.laws import Law

KEPT = 2 / 3
"""Fraction of the distinct sizes to which the inner fit is made."""
RESAMPLES = 100
"""Refits of the inner fit: its interval is a threshold and needs no more."""
KEPT_STARTS = 5
"""Number of drawn starts that the inner fit uses: the best ones."""
MOST_REFITTED = 400_000
"""Resamples x points beyond which the inner fit's interval comes from the sandwich formula, not from refits."""


@dataclass(frozen=True)
class OwnHoldOut:
    """The prediction of the held-out largest third.

    error: mean residual of log y, outliers clipped. reach: half-width of its 95 % interval on that side. factor:
    largest size over largest fitted size.
    """

    error: float
    reach: float
    factor: float


def hold_out(found: Fit, law: Law, settings: Settings) -> OwnHoldOut | None:
    """Fit the law to the smaller two thirds of the sizes and predict the rest; None where too few are left to fit.

    If the settings give starting points, the inner fit starts from the parameters of the full fit alone.
    """
    points = found.engine.points
    size = points.size
    distinct = np.unique(size)
    if len(distinct) < 4:
        return None
    cut = distinct[min(len(distinct) - 2, round(KEPT * len(distinct)) - 1)]
    seen = size <= cut
    some = points.take(seen)
    begin = None if settings.search.begin is None else law.scale(found.params, some.units(law.centred_with))[:, None]
    search = replace(
        settings.search,
        resamples=RESAMPLES,
        resample="runs" if some.n_runs > 2 else "points",
        interval="percentile",
        level=LEVEL,
        starts=None,
        begin=begin,
        most_refitted=min(MOST_REFITTED, settings.search.most_refitted),
        majority=True,
        kept=KEPT_STARTS,
    )
    try:
        check_determined(some, law)
        inner = fit_points(some, law, replace(settings, search=search))
    except Refusal:
        return None
    if inner.engine.samples is None:
        return None
    return _compare(inner, points.take(~seen), float(distinct[-1] / cut))


def _compare(inner: Fit, held_out: Points, factor: float) -> OwnHoldOut:
    at = {held_out.columns[name]: x for name, x in held_out.inputs.items()}
    error = float(np.mean(clipped(np.log(held_out.y / inner.predict(at)))))
    low, high = percentile(np.log(inner.refits(at) / inner.predict(at)[:, None]), inner.level).T
    curve = float(np.mean(high) if error > 0 else -np.mean(low))
    freedom = max(1, inner.n_points - len(inner.engine.theta))
    noise = np.sqrt((inner.engine.residuals**2).sum() / freedom / held_out.n)
    return OwnHoldOut(error, float(np.hypot(curve, 1.96 * noise)), factor)
