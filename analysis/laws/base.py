"""A law: names, bounds, value with derivatives, starts, and the conversion between scale-free and physical units.

The engine uses every law in scale-free form: each input is divided by its geometric mean and y by its median, and
coefficients are represented by their logarithms. The functional form is the same in both units; `scale` and `unscale`
convert between them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray
Inputs = Mapping[str, Array]
"""Natural logarithm of each input over its centre, shape (n,)."""


class Evaluation(NamedTuple):
    """The logarithm of a law at (B parameter vectors) x (n points), with derivatives.

    curvature: curvature(v) returns (M, s): sum_i v_i hess(h_i) = M + s sum_i v_i grad(h_i) grad(h_i)^T, v of shape
    (B, n), M of shape (p, p, B). None for a law without second derivatives: the solver then omits that part.
    """

    h: Array
    gradient: Callable[[], list[Array]]
    curvature: Callable[[Array], tuple[Array, float]] | None

    def slopes(self) -> Array:
        """Return the derivatives (p, n) for the first parameter vector."""
        return np.stack([np.broadcast_to(row, self.h.shape)[0] for row in self.gradient()])


class Bound(NamedTuple):
    """The bounds of one parameter in scale-free form, and the consequence of ending at one.

    vital: a fit that ends at a bound is refused; otherwise it is weak. at_low: the sentence for the lower bound.
    by_factor: the parameter is identified only if its interval spans a small factor. may_vanish: the lower bound is
    zero and an allowed value: a fit is weak only if nearly every refit ends there.
    """

    low: float
    high: float
    at_low: str = ""
    vital: bool = False
    by_factor: bool = False
    may_vanish: bool = False


COEFFICIENT = Bound(-30.0, 30.0, vital=True)
EXPONENT = Bound(0.0, 10.0, vital=True, by_factor=True)
NO_FLOOR = "the data show no floor, and a law without E fits the same with one parameter less"
FLOOR = Bound(0.0, 4.0, at_low=NO_FLOOR, may_vanish=True)


@dataclass(frozen=True)
class Units:
    """Centres that make inputs and response scale-free: logarithms of the inputs' geometric means and of y's median."""

    log_inputs: Mapping[str, float]
    log_y: float


@dataclass(frozen=True)
class Law:
    """A law: its name, inputs, parameters and bounds. Subclasses give the mathematics.

    inputs: ("x",) for a one-variable law, whose variable the user names; else columns of the table. exponents: maps
    each parameter that is an exponent to its variable. candidate: tried by default in backtests and --law auto.
    centred_with: maps each input that shares another input's unit, and so its centre, to that input.
    """

    name: str
    params: tuple[str, ...]
    inputs: tuple[str, ...]
    formula: str
    source: str
    bounds: Mapping[str, Bound] = field(repr=False, default_factory=dict)
    exponents: Mapping[str, str] = field(repr=False, default_factory=dict)
    default_starts: int = 64
    candidate: bool = True
    centred_with: Mapping[str, str] = field(repr=False, default_factory=dict)

    def evaluate(self, theta: Array, inputs: Inputs) -> Evaluation:
        """Return log f for each column of theta (p, B) at inputs (n,), with derivatives."""
        raise TypeError(f"law {self.name} has no evaluate")

    def scale(self, params: Mapping[str, Any], units: Units) -> Array:
        """Turn physical parameters into the scale-free inner vector (p, …)."""
        raise TypeError(f"law {self.name} has no scale")

    def unscale(self, theta: Array, units: Units) -> Array:
        """Turn inner vectors (p, …) into physical parameters, in the order of params."""
        raise TypeError(f"law {self.name} has no unscale")

    def starts(self, inputs: Inputs, log_y: Array, weights: Array, count: int, rng: np.random.Generator) -> Array:
        """Draw inner vectors (p, count) that cover all plausible shapes of the law."""
        raise TypeError(f"law {self.name} has no starts")

    def bind(self, units: Units) -> Law:
        """Return the law for these units: itself, unless its form depends on the units."""
        return self

    def inverse(self, params: Mapping[str, Array], y: Array) -> Array | None:
        """Return the x at which a one-variable law reaches y (nan where it never does); None without a closed form."""
        return None

    def elasticity(self, theta: Array, inputs: Inputs, name: str) -> Array:
        """Return d log f / d log of one input, (B, n): minus the local exponent."""
        step = 1e-4
        ends = [self.evaluate(theta, {**inputs, name: inputs[name] + s}).h for s in (step, -step)]
        return (ends[0] - ends[1]) / (2 * step)

    def tradeoff(self, params: Mapping[str, Array]) -> tuple[Array, Array, Array, Array] | None:
        """Return (A, B, alpha, beta) if, at any C, the optimal N and D are those of A N^-alpha + B D^-beta.

        None where the optimum has no closed form and is found by search.
        """
        return None

    def others(self, params: Mapping[str, Array], log_N: Array, log_D: Array) -> Mapping[str, Array]:
        """Return the logarithms (R, k) of the law's other inputs at the optimum for N and D (R, k)."""
        return {"D_unique": log_D}

    def unseen(self, theta: Array, inputs: Inputs) -> tuple[str, ...]:
        """Return sentences on features of a fitted inner vector (p,) that lie outside the runs (inputs (n,))."""
        return ()

    def lacks(self, inputs: Mapping[str, Array]) -> str:
        """Describe what the inputs (n,) lack for the law to be identified; empty if nothing."""
        return ""

    def complete(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters including those fixed or tied."""
        return dict(params)

    def box(self) -> tuple[Array, Array]:
        """Return lower and upper bounds of the inner vector."""
        low = np.array([self.bounds[name].low for name in self.params])
        return low, np.array([self.bounds[name].high for name in self.params])

    def clip(self, theta: Array) -> Array:
        """Return inner vectors (p, R) moved to the nearest ones within the bounds."""
        low, high = self.box()
        return np.clip(theta, low[:, None], high[:, None])

    @property
    def of_one_variable(self) -> bool:
        """Tell whether the law has one input that the user names (x)."""
        return self.inputs == ("x",)

    @property
    def joint(self) -> bool:
        """Tell whether the law is in N and D alone."""
        return set(self.inputs) == {"N", "D"}

    @property
    def allocates(self) -> bool:
        """Tell whether the law has a compute-optimal allocation."""
        return {"N", "D"} <= set(self.inputs) <= {"N", "D", "D_unique", "batch"}

    @property
    def floor(self) -> bool:
        """Tell whether the law has an irreducible loss, named E."""
        return "E" in self.params

    @property
    def constraint_words(self) -> dict[str, str]:
        """Return the constraint of each parameter that is not fitted, in words: fixed, = beta."""
        return {}

    @property
    def exponent(self) -> str | None:
        """Return the name of the law's only exponent; None if it has several or none."""
        return next(iter(self.exponents)) if len(self.exponents) == 1 else None


def differenced(law: Law, theta: Array, inputs: Inputs, v: Array) -> tuple[Array, float]:
    """Compute sum_i v_i hess(h_i) by central differences of the gradient, for laws without second derivatives."""
    p = len(theta)
    matrix = np.empty((p, p, theta.shape[1]))
    for j in range(p):
        step = 1e-5 * np.maximum(1.0, np.abs(theta[j]))
        moved = np.eye(p)[j][:, None] * step
        ends = [law.evaluate(theta + sign * moved, inputs).gradient() for sign in (1, -1)]
        for i in range(p):
            matrix[i, j] = np.einsum("bn,bn->b", v, np.broadcast_to(ends[0][i] - ends[1][i], v.shape)) / (2 * step)
    return (matrix + matrix.transpose(1, 0, 2)) / 2, 0.0


def spread(count: int, dimensions: int, rng: np.random.Generator) -> Array:
    """Fill the unit cube evenly with a shifted additive recurrence (dimensions, count) (Roberts 2018)."""
    phi = 2.0
    for _ in range(40):
        phi = (1 + phi) ** (1 / (dimensions + 1))
    steps = phi ** -np.arange(1, dimensions + 1)
    return (rng.random(dimensions)[:, None] + steps[:, None] * np.arange(1, count + 1)) % 1.0


def between(u: Array, low: float, high: float) -> Array:
    """Map (0, 1) to [low, high] evenly in the logarithm."""
    return low * (high / low) ** u
