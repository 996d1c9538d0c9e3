"""Laws in one variable x (N, D, C or any column)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.laws.additive import AdditiveLaw, Power, Term, sum_of_powers
from analysis.laws.base import COEFFICIENT, EXPONENT, FLOOR, Array, Bound, Inputs, Units, between


@dataclass(frozen=True)
class PowerLaw(AdditiveLaw):
    """a x^-alpha, with or without a floor E."""

    def inverse(self, params: Mapping[str, Array], y: Array) -> Array:
        """Return x = (a / (y - E))^(1 / alpha)."""
        with np.errstate(all="ignore"):
            return (params["a"] / _above(y, params.get("E", 0.0))) ** (1 / params["alpha"])


def _above(y: Array, floor: Array | float) -> Array:
    """Return y - floor, nan where y is not above it."""
    return np.where(y > floor, y - floor, np.nan)


POWER = PowerLaw(
    name="power",
    params=("a", "alpha"),
    inputs=("x",),
    formula="a x^-alpha",
    source="Hestness et al. 2017, arXiv 1712.00409",
    bounds={"a": COEFFICIENT, "alpha": Bound(-2.0, 10.0, by_factor=True)},
    exponents={"alpha": "x"},
    powers=(Power("a", "alpha", "x"),),
)

SATURATING = sum_of_powers(
    "saturating",
    (Power("a", "alpha", "x"),),
    PowerLaw,
    formula="E + a x^-alpha",
    source="Henighan et al. 2020, arXiv 2010.14701",
)


@dataclass(frozen=True)
class ShiftedLaw(AdditiveLaw):
    """E + a (b + x)^-alpha: a power law that bends at small x."""

    def terms(self, theta: Array, inputs: Inputs) -> list[Term]:
        """Return the one term; b is carried as its logarithm."""
        _, a, b, alpha = (row[:, None] for row in theta)
        x = inputs["x"]
        s = np.logaddexp(b, x)
        q = np.exp(b - s)
        du = (1.0, -alpha * q, -s)
        return [Term((1, 2, 3), a - alpha * s, du, {(1, 1): -alpha * q * (1 - q), (1, 2): -q})]

    def scale(self, params: Mapping[str, Any], units: Units) -> Array:
        """Turn physical parameters into the inner vector."""
        with np.errstate(divide="ignore"):
            inner = AdditiveLaw.scale(self, params, units)
        inner[2] = np.maximum(inner[2], self.bounds["b"].low)  # also where b is zero
        return inner

    def inverse(self, params: Mapping[str, Array], y: Array) -> Array:
        """Return x = (a / (y - E))^(1 / alpha) - b."""
        with np.errstate(all="ignore"):
            x = (params["a"] / _above(y, params["E"])) ** (1 / params["alpha"]) - params["b"]
        return np.where(x > 0, x, np.nan)

    def shapes(self, inputs: Inputs, u: Array) -> Array:
        """Draw exponents widely, and shifts from below the smallest x to above the largest."""
        theta = AdditiveLaw.shapes(self, inputs, u)
        x = inputs["x"]
        theta[2] = x.min() - 3 + u[1] * (x.max() - x.min() + 3)
        theta[3] = between(u[0], 0.03, 3.0)
        return theta


SHIFTED = ShiftedLaw(
    name="shifted",
    params=("E", "a", "b", "alpha"),
    inputs=("x",),
    formula="E + a (b + x)^-alpha",
    source="Zhai et al. 2022, arXiv 2106.04560; Bachmann et al. 2023, arXiv 2306.13575",
    bounds={
        "E": FLOOR,
        "a": Bound(-30.0, 80.0),
        "b": Bound(
            -25.0, 15.0, "the data show no bend at small x, and saturating fits the same with one parameter less"
        ),
        "alpha": EXPONENT,
    },
    exponents={"alpha": "x"},
    powers=(Power("a", "alpha", "x"),),
    logs={"b": "x"},
)
