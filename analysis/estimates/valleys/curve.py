"""isoFLOP curves: their form, the curve of one budget, and the minima of many resampled curves at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from analysis.fitting.result import Fit

FEWEST_SIZES = 4
"""Minimum number of sizes of a budget with a minimum."""
NEIGHBOURS = 2
"""Minimum number of sizes on either side of the best to which a parabola is fitted."""

NEAR = float(np.log(3.0))
"""A parabola is also fitted to all sizes within this distance of the best in log N."""
LEAST = 1e-6
"""Skew below which a parabola is symmetric."""
EXACT = 1e-4
"""Minimum noise, as a share of y: a curve is no nearer to the truth, and losses have about as many digits."""


@dataclass(frozen=True)
class Parabola:
    """A parabola in v = log N; with skew, one that is steeper at large N: the curvature grows as e^(skew v).

    A Chinchilla law's isoFLOP curve has a skew of beta - alpha near its minimum. Fitted near each curve's lowest point.
    """

    skew: float = 0.0

    def basis(self, v: np.ndarray) -> np.ndarray:
        """Return the terms (…, 3) of which a curve is the sum."""
        t = self.skew
        square = v * v if abs(t) < LEAST else 2 * (np.expm1(t * v) - t * v) / t**2
        return np.stack([np.ones_like(v), v, square], axis=-1)

    def vertex(self, coefficients: np.ndarray) -> np.ndarray:
        """Return each curve's minimum (inf or -inf where it has none)."""
        _, a, b = coefficients.T
        with np.errstate(all="ignore"):
            x = np.where(b > 0, -a / (2 * b), np.where(a > 0, -np.inf, np.inf))
            if abs(self.skew) < LEAST:
                return x
            return np.where(1 + self.skew * x > 0, np.log1p(self.skew * x) / self.skew, np.copysign(np.inf, x))


@dataclass(frozen=True)
class Shape:
    """The isoFLOP curve of a Chinchilla law with these exponents, E + a N^-alpha + b N^beta; fitted to all points."""

    alpha: float
    beta: float

    @classmethod
    def of(cls, law: Fit) -> Shape:
        """Return the curve that a fitted Chinchilla law implies."""
        return cls(law.params["alpha"], law.params["beta"])

    def basis(self, v: np.ndarray) -> np.ndarray:
        """Return the terms (…, 3) of which a curve is the sum."""
        return np.stack([np.ones_like(v), np.exp(-self.alpha * v), np.exp(self.beta * v)], axis=-1)

    def vertex(self, coefficients: np.ndarray) -> np.ndarray:
        """Return each curve's minimum (inf or -inf where it has none)."""
        _, a, b = coefficients.T
        with np.errstate(divide="ignore", invalid="ignore"):
            v = np.log(self.alpha * a / (self.beta * b)) / (self.alpha + self.beta)
            return np.where((a > 0) & (b > 0), v, np.where(a <= 0, -np.inf, np.inf))


@dataclass(frozen=True)
class CurveMinima:
    """The minima of a stack of curves over log N, and the first curve.

    u: log N of each minimum (-inf, inf: beyond the sizes run). y: its value. For the first curve, fitted_at: indices of
    the fitted points; fitted: its values there; coefficients, centre: its parameters; ends: its range in log N.
    """

    u: np.ndarray
    y: np.ndarray
    fitted_at: np.ndarray
    fitted: np.ndarray
    coefficients: np.ndarray
    centre: float
    shape: Parabola | Shape
    ends: tuple[float, float]

    def value(self, u: np.ndarray) -> np.ndarray:
        """Return the first curve at log N = u."""
        return self.shape.basis(u - self.centre) @ self.coefficients

    def band(self, share: float, N_low: float, N_high: float) -> tuple[float, float]:
        """Return the range of N, inside the sizes run, in which the first curve is within a share of its minimum."""
        u = np.linspace(np.log(N_low), np.log(N_high), 4001)
        near = u[self.value(u) <= self.y[0] * (1 + share)]
        return (float(np.exp(near[0])), float(np.exp(near[-1]))) if len(near) else (float("nan"), float("nan"))

    def curve(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return N and y along the first curve, over the sizes it was fitted to."""
        u = np.linspace(*self.ends, 101)
        return tuple(np.exp(u)), tuple(self.value(u))


@dataclass(frozen=True)
class Valley:
    """One budget's points (k,): log N, mean y and number of seeds; and the curve fitted near their minimum."""

    budget: float
    u: np.ndarray
    means: np.ndarray
    seeds: np.ndarray
    curve: CurveMinima

    @property
    def rest(self) -> np.ndarray:
        """Return the relative residuals of the fitted points."""
        return self.means[self.curve.fitted_at] / self.curve.fitted - 1

    @property
    def freedom(self) -> int:
        """Return the degrees of freedom of the residuals."""
        return len(self.curve.fitted_at) - 3


def find_minima(u: np.ndarray, Y: np.ndarray, shape: Parabola | Shape) -> CurveMinima:
    """Find the minimum of each curve.

    u: (n,) sorted log N. Y: (k, n) curves. Where the lowest point is at either end, the minimum lies beyond it.
    """
    sizes, which = np.unique(u, return_inverse=True)
    best = which[np.argmin(Y, axis=1)]
    minimum, height = np.empty(len(Y)), np.empty(len(Y))
    first: tuple[np.ndarray, np.ndarray, float] = (np.arange(len(u)), np.zeros(3), float(u.mean()))
    for index in np.unique(best):
        these = best == index
        window = _window(sizes, which, int(index), shape)
        centre = float(sizes[index])
        basis = shape.basis(u[window] - centre)
        coefficients = Y[np.ix_(these, window)] @ np.linalg.pinv(basis).T
        v = shape.vertex(coefficients)
        low, high = u[window].min() - centre, u[window].max() - centre
        v = np.where(v < low, -np.inf, np.where(v > high, np.inf, v))
        inside = np.clip(v, low, high)
        height[these] = np.einsum("kj,kj->k", shape.basis(inside), coefficients)
        if index == 0 or index == len(sizes) - 1:
            v = np.full(len(v), -np.inf if index == 0 else np.inf)
        minimum[these] = v + centre
        if these[0]:
            first = (window, coefficients[0], centre)
    window, coefficients, centre = first
    fitted = shape.basis(u[window] - centre) @ coefficients
    ends = (float(u[window].min()), float(u[window].max()))
    return CurveMinima(minimum, height, window, fitted, coefficients, centre, shape, ends)


def _window(sizes: np.ndarray, which: np.ndarray, best: int, shape: Parabola | Shape) -> np.ndarray:
    if isinstance(shape, Shape):
        return np.arange(len(which))
    near = np.abs(sizes - sizes[best]) <= NEAR
    near[max(0, best - NEIGHBOURS) : best + NEIGHBOURS + 1] = True
    return np.flatnonzero(near[which])
