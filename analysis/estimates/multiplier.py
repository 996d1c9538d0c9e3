"""Compute multiplier between two groups of runs: how much more compute A needs to reach B's loss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.errors import Refusal, UserError
from analysis.estimates.pairs_of_refits import (
    FAR,
    FARTHEST,
    GRID,
    computes,
    frontier_of,
    log_multipliers,
    recentred,
    unpaired,
    with_weighted_refits,
)
from analysis.fitting.display.in_notebook import InNotebook
from analysis.fitting.intervals import percentile
from analysis.fitting.result import Fit
from analysis.fitting.settings import settings_of
from analysis.fitting.verdict.fit_and_judge import fit_and_judge
from analysis.laws import get_law
from analysis.laws.base import Array, Law
from analysis.laws.constrained_law import constrained
from analysis.numbers import estimated_times, flops, interval, percent
from analysis.wording import counted

if TYPE_CHECKING:
    import pandas as pd

Interval = tuple[float, float]
EQUAL = 1.001
"""Multiplier up to which two groups count as equal: that of the same runs differs from 1 by interpolation."""
POWER = 0.8
"""Statistical power for which the number of runs needed is computed."""
DETECTABLE = (1.05, 1.1, 1.2, 1.5)
"""Multipliers for which it is computed."""


@dataclass(frozen=True)
class Point:
    """The multiplier at one C of B, with its interval, and the loss that both reach."""

    C: float
    multiplier: float
    interval: Interval
    y: float


@dataclass(frozen=True)
class Exponent:
    """One exponent in both fits: values, interval of B - A, and two-sided p value of no difference (from refits)."""

    name: str
    first: float
    second: float
    difference: Interval
    p: float

    @property
    def shared(self) -> bool:
        """Tell whether the data are compatible with one exponent for both."""
        return self.difference[0] <= 0 <= self.difference[1]


@dataclass(frozen=True, repr=False)
class Comparison(InNotebook):
    """The compute multiplier: C that the first needs over C that the second needs for equal loss.

    multiplier: geometric mean over their common range. trend: d log multiplier / d log C. turns: the lowest C beyond
    the common range at which the interval contains 1 (None: not within a factor `FAR`). runs_for: for each multiplier,
    the number of runs that detects it with power `POWER`, as a multiple of the present number.
    """

    first: str
    second: str
    y: str
    law: str
    multiplier: float
    interval: Interval
    trend: float
    trend_interval: Interval
    C_range: Interval
    points: tuple[Point, ...]
    exponents: tuple[Exponent, ...]
    turns: float | None
    runs_for: dict[float, float]
    runs: tuple[int, int]
    level: float
    warnings: tuple[str, ...]
    fits: tuple[Fit, Fit] = field(repr=False, compare=False)

    @property
    def verdict(self) -> str:
        """Say which one is better, if the interval shows it."""
        low, high = self.interval
        if low <= EQUAL and high * EQUAL >= 1:
            return "the runs do not show which one is better"
        better, worse = (self.second, self.first) if low > 1 else (self.first, self.second)
        return f"{better} is better than {worse}"

    @property
    def sentence(self) -> str:
        """Say how much less compute the better one needs, with the interval, and whether it is significant."""
        better, worse, factor, ends = self.second, self.first, self.multiplier, self.interval
        if factor < 1:
            better, worse, factor, ends = worse, better, 1 / factor, (1 / ends[1], 1 / ends[0])
        saving = f"{better} needs {estimated_times(factor)} less compute {interval(ends, estimated_times)} than {worse}"
        return f"{saving} for the same {self.y} ({percent(self.level)} interval): {self.verdict}"

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, without the fits."""
        shared = {one.name: one.shared for one in self.exponents}
        return {**super().to_dict(), "verdict": self.verdict, "shared": shared}


def compare(
    groups: Mapping[str, pd.DataFrame],
    law: str | Law = "chinchilla",
    *,
    y: str = "loss",
    x: str | None = None,
    level: float = 0.95,
    fix: Mapping[str, float] | None = None,
    tie: Mapping[str, str] | None = None,
    **options: Any,
) -> Comparison:
    """Fit a law to each of two groups of runs and compare their frontiers at equal loss.

    groups: the rows of both by name; the first is the baseline. law: one with a compute-optimal allocation, or a
    one-variable law in C. options: those of fit. Raises `UserError` unless there are two groups, and `Refusal` where
    their ranges of C or loss do not overlap.
    """
    if len(groups) != 2:
        given = f"{counted(len(groups), 'group')} ({', '.join(groups)})"
        raise UserError(f"found {given}; wanted two to compare; choose two")
    settings = settings_of(y=y, x=x, level=level, **options)
    form = constrained(get_law(law), fix, tie)
    found = {}
    for name, rows in groups.items():
        try:
            found[name] = with_weighted_refits(fit_and_judge(rows, form, settings))
        except (Refusal, UserError) as error:
            raise type(error)(f"{name}: {error}") from error
    return compare_fits(found)


def compare_fits(found: Mapping[str, Fit]) -> Comparison:
    """Compare two named fits of one law (see `compare`); both with refits and one level."""
    names, (one, two) = tuple(found), found.values()
    for name, fit in found.items():
        if fit.engine.samples is None:
            if fit.certificate.no_interval:
                raise Refusal(f"{name} has {fit.certificate.no_interval}")
            raise UserError("found --resamples 0; wanted some for the multiplier's interval; take --resamples 1000")
    fits = (one, unpaired(two))
    ranges = [(float(C.min()), float(C.max())) for C in map(computes, fits)]
    low, high = max(ends[0] for ends in ranges), min(ends[1] for ends in ranges)
    if not low < high:
        raise Refusal(
            f"{names[0]} was run from {flops(ranges[0][0])} to {flops(ranges[0][1])} FLOPs and {names[1]} from "
            f"{flops(ranges[1][0])} to {flops(ranges[1][1])}; wanted runs over the same range"
        )
    grid = np.linspace(np.log(low), np.log(high), GRID)
    best, samples = log_multipliers(fits, grid, ranges[0])
    inside = np.isfinite(best) & (grid + best >= np.log(ranges[0][0])) & (grid + best <= np.log(ranges[0][1]))
    if inside.sum() < 2:
        raise Refusal(
            f"{names[0]} reaches none of the losses of {names[1]} within its own range; wanted losses of both"
        )
    return _comparison(fits, names, grid[inside], best[inside], samples[:, inside], ranges[0])


def _comparison(
    fits: tuple[Fit, Fit], names: tuple[str, ...], grid: Array, best: Array, samples: Array, first: Interval
) -> Comparison:
    """Summarise the log multipliers at log C (k,): mean, trend, reversal, power."""
    level, centred = fits[0].level, grid - grid.mean()
    every = np.clip(np.append(best[None], samples, axis=0), -FARTHEST, FARTHEST)
    every = np.column_stack([every, every.mean(axis=1), every @ centred / (centred @ centred)])
    shifted = recentred(every[0], every[1:])
    ends = percentile(shifted.T, level)
    curve = np.exp(frontier_of(fits[1], fits[1].engine.column, grid)[0])
    points = zip(np.exp(grid), np.exp(best), np.exp(ends[:-2]), curve, strict=True)
    reach = float(np.std(shifted[:, -2])) * sum(map(NormalDist().inv_cdf, ((1 + level) / 2, POWER)))
    return Comparison(
        first=names[0],
        second=names[1],
        y=fits[0].y,
        law=fits[0].law,
        multiplier=float(np.exp(every[0, -2])),
        interval=_pair(np.exp(ends[-2])),
        trend=float(every[0, -1]),
        trend_interval=_pair(ends[-1]),
        C_range=(float(np.exp(grid[0])), float(np.exp(grid[-1]))),
        points=tuple(Point(float(C), float(m), _pair(e), float(y)) for C, m, e, y in points),
        exponents=tuple(_exponents(fits, level)),
        turns=_reversal(fits, level, float(grid[-1]), first, np.sign(every[0, -2])),
        runs_for={factor: (reach / float(np.log(factor))) ** 2 for factor in DETECTABLE},
        runs=(fits[0].n_runs, fits[1].n_runs),
        level=level,
        warnings=tuple(f"{name}: {text}" for name, found in zip(names, fits, strict=True) for text in found.warnings),
        fits=fits,
    )


def _exponents(fits: tuple[Fit, Fit], level: float) -> list[Exponent]:
    """Compare the laws' exponents, and the exponent of the optimal N, by pairs of refits."""
    law = fits[0].engine.problem.law
    params = [found.params_of(found.engine.refits) for found in fits]
    rows = [
        (name, fits[0].params[name], fits[1].params[name], params[1][name] - params[0][name]) for name in law.exponents
    ]
    if {"alpha", "beta"} <= set(law.params):
        share = [one["beta"] / (one["alpha"] + one["beta"]) for one in params]
        at = [one.params["beta"] / (one.params["alpha"] + one.params["beta"]) for one in fits]
        rows.append(("N* exponent", at[0], at[1], share[1] - share[0]))
    found = []
    for name, first, second, refitted in rows:
        apart = recentred(np.array([second - first]), refitted[:, None])[:, 0]
        share_above = (float(np.mean(apart > 0)) + float(np.mean(apart >= 0))) / 2
        p = min(1.0, 2 * min(share_above, 1 - share_above) + 1 / len(apart))
        found.append(Exponent(name, first, second, _pair(percentile(apart[None], level)[0]), p))
    return found


def _reversal(fits: tuple[Fit, Fit], level: float, last: float, first: Interval, sign: float) -> float | None:
    """Return the lowest C beyond the common range at which the multiplier's interval contains 1."""
    grid = np.linspace(last, last + np.log(FAR), 4 * GRID)
    ends = percentile(recentred(*log_multipliers(fits, grid, first)).T, level)
    unsure = (ends[:, 0] <= 0) if sign > 0 else (ends[:, 1] >= 0)
    return float(np.exp(grid[np.argmax(unsure)])) if unsure.any() else None


def _pair(ends: Array) -> Interval:
    return float(ends[0]), float(ends[1])
