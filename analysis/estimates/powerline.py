"""A power law y = a x^k fitted as a line in log-log, with an interval from resampled points."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from analysis.fitting.display.plain import PlainData, plain
from analysis.fitting.intervals import percentile
from analysis.fitting.verdict.coefficient import Coefficient, amounts
from analysis.numbers import number

SCATTERED = "the optima scatter about their line more than noise explains; the interval is of that scatter"
SURE = 3.0
"""Standard deviations above which curvature is significant."""
LITTLE = 0.1
"""Relative change of the prediction at 10 times the largest x below which curvature is negligible."""
BEYOND = 10.0
"""Multiple of the largest x at which the prediction is compared."""
DRAWS = 4_000
"""Lines drawn for an interval from the scatter."""
BENT = 0.05
"""Prior standard deviation of a bend: change of the exponent of N* a decade of C."""
FEWEST_DRAWS = 50
"""Minimum number of complete resamples for testing curvature."""


@dataclass(frozen=True)
class Bend:
    """A curvature of log y that a line's points do not exclude, and the line (2,) that absorbs a unit of it."""

    curvature: Coefficient
    absorbed: np.ndarray

    def draws(self, t: np.ndarray, count: int) -> np.ndarray:
        """Draw deviations (count, m) from the line at distances t (m,) from its centre."""
        return amounts([self.curvature], count, seed=0).T * (t**2 - self.absorbed[0] - self.absorbed[1] * t)


@dataclass(frozen=True)
class PowerLine(PlainData):
    """y = coefficient x^exponent through n points, as log y = height + exponent (log x - centre).

    interval_from: resamples, scatter (Student's t from the residuals), steps (between sizes), or none. draws: (k, 2),
    resampled (log value at the centre, exponent). centre: mean log x, at which the two are nearly uncorrelated. bend: a
    sentence where the points are significantly curved, or ''. hidden: a bend that the points do not exclude, for
    intervals at an x.
    """

    height: float
    exponent: float
    exponent_interval: tuple[float, float] | None
    level: float
    interval_from: str
    r2: float
    n: int
    x_range: tuple[float, float]
    centre: float
    draws: np.ndarray = field(repr=False)
    warnings: tuple[str, ...]
    bend: str = ""
    hidden: Bend | None = field(default=None, repr=False)

    @property
    def coefficient(self) -> float:
        """Return y at x = 1; infinite or zero where it overflows or underflows."""
        with np.errstate(over="ignore"):
            return float(np.exp(self.height - self.exponent * self.centre))

    def predict(self, x: np.ndarray | float) -> np.ndarray:
        """Return y at x."""
        with np.errstate(over="ignore"):
            return np.exp(self.height + self.exponent * (np.log(np.asarray(x, dtype=float)) - self.centre))

    def interval(self, x: np.ndarray | float) -> tuple[np.ndarray, np.ndarray] | None:
        """Return the interval of y at x as (low, high); None without an interval."""
        if not len(self.draws):
            return None
        t = np.log(np.atleast_1d(np.asarray(x, dtype=float))) - self.centre
        straight = self.draws[:, :1] + self.draws[:, 1:] * t
        samples = [straight] if self.hidden is None else [straight, straight + self.hidden.draws(t, len(straight))]
        with np.errstate(over="ignore"):
            ends = np.exp(np.stack([percentile(values.T, self.level) for values in samples]))
        return ends[:, :, 0].min(axis=0), ends[:, :, 1].max(axis=0)

    def with_draws(self, draws: np.ndarray, level: float, origin: str = "resamples") -> PowerLine:
        """Return the same line with its interval from draws (k, 2) of (log value at the centre, exponent)."""
        interval = _exponent_interval(draws, level)
        return replace(self, draws=draws, exponent_interval=interval, interval_from=origin, level=level)

    def to_dict(self) -> dict[str, Any]:
        """Return the line as plain numbers."""
        names = ("coefficient", "exponent", "exponent_interval", "level", "interval_from", "r2", "n", "x_range")
        return {name: plain(getattr(self, name)) for name in (*names, "warnings")}


def power_line(
    x: np.ndarray,
    y: np.ndarray,
    *,
    draws: np.ndarray | None = None,
    level: float = 0.95,
    may_bend: bool = False,
) -> PowerLine:
    """Fit log y on log x by least squares.

    draws: (k, n) resampled log y (NaN: point missing in the resample). Where the residuals exceed what the resamples
    explain (F test at 5 %), the interval comes from the residuals instead, with a warning. may_bend: intervals at an x
    allow for a bend that the points do not exclude.
    """
    u, v = np.log(np.asarray(x, dtype=float)), np.log(np.asarray(y, dtype=float))
    centre, n = float(u.mean()), len(u)
    design = np.stack([np.ones(n), u - centre], axis=1)
    (height, slope), *_ = np.linalg.lstsq(design, v, rcond=None)
    residual = v - design @ np.array([height, slope])
    total = float(((v - v.mean()) ** 2).sum())
    resampled, origin = _refit(design, draws) if draws is not None else np.empty((0, 2)), "resamples"
    excess = n >= 4 and draws is not None and exceeds(residual, draws, n - 2)
    if excess or (n >= 4 and not len(resampled)):
        resampled, origin = _from_scatter(design, height, slope, residual), "scatter"
    return PowerLine(
        height=float(height),
        exponent=float(slope),
        exponent_interval=_exponent_interval(resampled, level),
        level=level,
        interval_from=origin if len(resampled) else "none",
        r2=1 - float((residual**2).sum()) / total if total > 0 else float("nan"),
        n=n,
        x_range=(float(np.min(x)), float(np.max(x))),
        centre=centre,
        draws=resampled,
        warnings=(SCATTERED,) if excess else (),
        hidden=_hidden(u - centre, v, draws, residual) if may_bend else None,
        bend="" if draws is None else _bend(u - centre, v, height + slope * (u.max() + np.log(BEYOND) - centre), draws),
    )


def lines_within(x: np.ndarray, y: np.ndarray, room: np.ndarray) -> np.ndarray:
    """Draw lines (`DRAWS`, 2) through points whose log y is uniform from room[:, 0] below y to room[:, 1] above it."""
    u = np.log(np.asarray(x, dtype=float))
    design = np.stack([np.ones(len(u)), u - u.mean()], axis=1)
    share = np.random.default_rng(0).random((DRAWS, len(u)))
    return _refit(design, np.log(np.asarray(y, dtype=float)) - room[:, 0] + share * room.sum(axis=1))


def _exponent_interval(draws: np.ndarray, level: float) -> tuple[float, float] | None:
    """Return the interval of the exponent from draws (k, 2); None without draws."""
    if not len(draws):
        return None
    low, high = percentile(draws[:, 1], level)
    return float(low), float(high)


def _refit(design: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Fit a line to the points present in each draw; draws with fewer than two points are dropped."""
    present = np.isfinite(draws)
    weight, value = present.astype(float), np.where(present, draws, 0.0)
    t = design[:, 1]
    s0, s1, s2 = weight.sum(1), weight @ t, weight @ t**2
    r0, r1 = value.sum(1), value @ t
    determinant = s0 * s2 - s1**2
    fine = determinant > 1e-9 * np.maximum(s0 * s2, 1e-300)
    s0, s1, s2, r0, r1, determinant = (a[fine] for a in (s0, s1, s2, r0, r1, determinant))
    return np.stack([(s2 * r0 - s1 * r1) / determinant, (s0 * r1 - s1 * r0) / determinant], axis=1)


def exceeds(residual: np.ndarray, draws: np.ndarray, free: int) -> bool:
    """Tell whether residuals (n,) with `free` degrees of freedom exceed the variance of draws (k, n), F test at 5 %."""
    from scipy.special import gammaincinv

    known = float(np.nanvar(draws, axis=0).mean())
    most = 2 * float(gammaincinv(free / 2, 0.95))  # the 95 % quantile of chi-squared
    return float((residual**2).sum()) / free > known * most / free


def _parabola(x: np.ndarray) -> np.ndarray:
    """Return the map (3, n) from values at n distances x to the coefficients of a parabola."""
    return np.linalg.pinv(np.stack([np.ones_like(x), x, x**2], axis=1))


def _whole(draws: np.ndarray | None) -> np.ndarray:
    """Return the complete draws (k, n), none if they are too few."""
    whole = np.empty((0, 0)) if draws is None else draws[np.isfinite(draws).all(axis=1)]
    return whole if len(whole) >= FEWEST_DRAWS else whole[:0]


def _hidden(x: np.ndarray, v: np.ndarray, draws: np.ndarray | None, residual: np.ndarray) -> Bend | None:
    """Estimate the curvature of points (x, v), as sure as their draws or residuals about the line say."""
    if len(np.unique(x)) < 3:
        return None
    parabola, whole, free = _parabola(x), _whole(draws), len(x) - 2
    scatter = float(np.sqrt((residual**2).sum() / free)) * float(np.linalg.norm(parabola[2])) if free > 1 else 0.0
    deviation = max(scatter, float((whole @ parabola[2]).std()) if len(whole) else 0.0)
    if not deviation:
        return None
    absorbed = np.polynomial.polynomial.polyfit(x, x**2, 1)
    return Bend(Coefficient(float(parabola[2] @ v), deviation, BENT / (2 * np.log(10)), 1.0), absorbed)


def _bend(x: np.ndarray, v: np.ndarray, line: float, draws: np.ndarray) -> str:
    """Report significant curvature of points (x, v), given draws (k, n) of v. line: its value at `BEYOND` the data."""
    whole = _whole(draws)
    if len(x) < 3 or not len(whole):
        return ""
    parabola = _parabola(x)
    far = x.max() + np.log(BEYOND)
    times = float(np.exp(parabola.T @ [1.0, far, far**2] @ v - line))
    sure = abs(float(parabola[2] @ v)) / max(float((whole @ parabola[2]).std()), 1e-300)
    if sure < SURE or abs(times - 1) < LITTLE:
        return ""
    return (
        f"the optima bend away from a power of C (by {number(sure, 2)} standard deviations): {number(BEYOND)} times "
        f"beyond, a parabola lies at {number(times, 2)} times the line; more budgets, or a law of N and D, would tell"
    )


def _from_scatter(design: np.ndarray, height: float, slope: float, residual: np.ndarray) -> np.ndarray:
    """Draw lines (`DRAWS`, 2) from Student's t distribution, scaled by the residuals."""
    free = len(residual) - 2
    scale = np.sqrt((residual**2).sum() / free / (design**2).sum(axis=0))
    t = np.random.default_rng(0).standard_t(free, size=(DRAWS, 2))
    return np.array([height, slope]) + t * scale
