"""The Farseer law: a floor, a coefficient of D and an exponent of D that all depend on N."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from math import factorial, prod
from typing import Any

import numpy as np

from analysis.laws.additive import AdditiveLaw, Term, relative_solution
from analysis.laws.base import Array, Bound, Inputs, Law, Units, between, spread

FLATTEST = 1e-9
"""Minimum magnitude of an exponent of N in physical units: at zero s N^q is a logarithm, and s and S diverge."""
SERIES = 0.05
"""Size of z = q n below which (e^z - 1) / z and its derivatives are taken from their series."""
SERIES_OF = tuple([prod(range(k + 1, k + d + 1)) / factorial(k + d + 1) for k in range(6, -1, -1)] for d in range(3))
"""Coefficients of z^6 to 1 of those: sum_k z^k (k + d)! / k! / (k + d + 1)! for the d-th derivative."""


@dataclass(frozen=True)
class FarseerLaw(AdditiveLaw):
    """exp(s N^q + S) + exp(B N^b + Q) D^-exp(A N^a + E).

    Inner vector: each of the three s N^q + S is carried as its value and its slope at the centre of log N, and q. With
    phi(q, n) = (e^(q n) - 1) / q, n = log N centred, the first term is exp(S' + s' phi(q, n)), the exponent of D
    x(n) = exp(E' + A' phi(a, n)), and S', Q' are of log y at the centre of both inputs. There the three are nearly
    independent, which s, q and S are not.
    """

    units: Units | None = None

    @property
    def floor(self) -> bool:
        """Return False: E is not a floor in this law."""
        return False

    def bind(self, units: Units) -> Law:
        """Store the centre of D, which couples the exponent of D with the coefficient."""
        return replace(self, units=units)

    def terms(self, theta: Array, inputs: Inputs) -> list[Term]:
        """Return both terms with all their derivatives."""
        s, q, S, B, b, Q, A, a, E = (row[:, None] for row in theta)
        n = inputs["N"]
        flat, steep, decay = _bends(n, q, b, a)
        log_D0 = _log_D(self.units)
        D = inputs["D"] + log_D0
        X = np.exp(E)
        x = X * np.exp(A * decay[0])
        by_E, by_A = X * log_D0 * (1 + A * steep[0]) - x * D, X * log_D0 * steep[0] - x * D * decay[0]
        by_a, slope = -x * A * decay[1] * D, B + X * log_D0 * A
        u = Q + B * steep[0] + by_E
        bends = {
            (0, 1): steep[1],
            (1, 1): slope * steep[2],
            (1, 3): X * log_D0 * steep[1],
            (1, 5): X * log_D0 * A * steep[1],
            (3, 3): -x * decay[0] ** 2 * D,
            (3, 4): -x * D * decay[1] * (1 + A * decay[0]),
            (4, 4): -x * D * A * (decay[2] + A * decay[1] ** 2),
            (3, 5): by_A,
            (4, 5): by_a,
            (5, 5): by_E,
        }
        first = Term((0, 1, 2), S + s * flat[0], (flat[0], s * flat[1], 1.0), {(0, 1): flat[1], (1, 1): s * flat[2]})
        return [first, Term((3, 4, 5, 6, 7, 8), u, (steep[0], slope * steep[1], 1.0, by_A, by_a, by_E), bends)]

    def scale(self, params: Mapping[str, Any], units: Units) -> Array:
        """Turn physical parameters into the inner vector."""
        p = {name: np.asarray(params[name], dtype=float) for name in self.params}
        N, D = units.log_inputs["N"], _log_D(units)
        s, B, A = (p[size] * np.exp(p[power] * N) for size, power in (("s", "q"), ("B", "b"), ("A", "a")))
        X = np.exp(A + p["E"])
        floor, coefficient = s + p["S"] - units.log_y, B + p["Q"] - X * D - units.log_y
        slope = B * p["b"] - X * D * A * p["a"]
        return np.stack([s * p["q"], p["q"], floor, slope, p["b"], coefficient, A * p["a"], p["a"], A + p["E"]])

    def unscale(self, theta: Array, units: Units) -> Array:
        """Turn inner vectors into physical parameters."""
        s, q, S, B, b, Q, A, a, E = theta
        N, D = units.log_inputs["N"], _log_D(units)
        q, b, a = (np.where(np.abs(power) < FLATTEST, FLATTEST, power) for power in (q, b, a))
        X = np.exp(E)
        s, B, A = s / q, (B + X * D * A) / b, A / a
        sizes = s * np.exp(-q * N), B * np.exp(-b * N), A * np.exp(-a * N)
        S, Q, E = S + units.log_y - s, Q + X * D + units.log_y - B, E - A
        return np.stack([sizes[0], q, S, sizes[1], b, Q, sizes[2], a, E])

    def starts(self, inputs: Inputs, log_y: Array, weights: Array, count: int, rng: np.random.Generator) -> Array:
        """Draw the exponent of D as a function of N, with floor and coefficient by linear regression."""
        u = spread(count, 3, rng)
        n, d = inputs["N"], inputs["D"]
        reach = max(min(-float(n.min()), float(n.max())), 1e-3)
        E, A, a = np.log(between(u[0], 0.05, 1.5)), (u[1] - 0.5) / reach, (u[2] - 0.5) / reach
        at = np.array([-reach, 0.0, reach])
        x, x_at = (np.exp(E[:, None] + A[:, None] * _bend(a[:, None], where)[0]) for where in (n, at))
        floor, coefficient = _quadratics(np.exp(-x * d), n, at, log_y, weights)
        log_D0 = _log_D(self.units)
        s, q, S = _through(floor, reach)
        B, b, Q = _through(coefficient + x_at * log_D0, reach)
        return self.clip(np.stack([s, q, S, B - np.exp(E) * A * log_D0, b, Q - np.exp(E) * log_D0, A, a, E]))


def _log_D(units: Units | None) -> float:
    """Return the centre of log D."""
    assert units is not None
    return float(units.log_inputs["D"])


def _bends(n: Array, *powers: Array) -> Iterator[list[Array]]:
    """Yield `_bend` of each power; on a grid many points share their N, and each is computed once."""
    if n.ndim > 1:
        yield from (list(_bend(q, n)) for q in powers)
        return
    places, back = np.unique(n, return_inverse=True)
    for q in powers:
        yield [rows[:, back] for rows in _bend(q, places)]


def _bend(q: Array, n: Array) -> tuple[Array, Array, Array]:
    """Return (e^(q n) - 1) / q, which is n at q = 0, with its first and second derivatives by q."""
    z = q * n
    near = np.abs(z) < SERIES
    z = np.where(near, 1.0, z)
    value = np.expm1(z) / z
    first = (value * (z - 1) + 1) / z
    second = (1 + z * value - 2 * first) / z
    if near.any():
        small = (q * n)[near]
        for rows, series in zip((value, first, second), SERIES_OF, strict=True):
            rows[near] = np.polyval(series, small)
    return n * value, n**2 * first, n**3 * second


def _quadratics(fade: Array, n: Array, at: Array, log_y: Array, weights: Array) -> tuple[Array, Array]:
    """Solve y = floor(n) + coefficient(n) fade, both quadratic in n, by relative least squares; fade (B, n).

    Returns the logarithms of floor and coefficient at three places, (B, 3) each; values that are not positive become a
    small share of y.
    """
    powers, places = np.stack([np.ones_like(n), n, n**2], axis=-1), np.stack([np.ones_like(at), at, at**2])
    design = np.concatenate([np.broadcast_to(powers, (*fade.shape, 3)), fade[..., None] * powers], axis=-1)
    scaled, size = relative_solution(design * np.exp(-log_y)[:, None], weights, ridge=1e-9)
    solution = scaled / size
    least = 1e-2 * float(np.exp(log_y.min()))
    floor, coefficient = (np.log(np.maximum(half @ places, least)) for half in (solution[:, :3], solution[:, 3:]))
    return floor, coefficient


def _through(values: Array, reach: float) -> tuple[Array, Array, Array]:
    """Return slope, power and value at 0 of value + slope phi(power, n) through values (B, 3) at -reach, 0, reach."""
    below, above = values[:, 1] - values[:, 0], values[:, 2] - values[:, 1]
    bent = (below * above > 0) & (np.abs(below) > 1e-6) & (np.abs(above) > 1e-6)
    power = np.where(bent, np.log(np.where(bent, above / np.where(bent, below, 1.0), 1.0)) / reach, 0.0)
    power = np.clip(power, POWER.low, POWER.high)
    slope = (above + below) / (_bend(power, np.array(reach))[0] - _bend(power, np.array(-reach))[0])
    return slope, power, values[:, 1]


# Beyond a power of 1 a term of log y changes tenfold within a decade of N, which few runs often fit by mistake.
POWER, SLOPE, LEVEL = Bound(-1.0, 1.0), Bound(-20.0, 20.0), Bound(-30.0, 30.0)

FARSEER = FarseerLaw(
    name="farseer",
    params=("s", "q", "S", "B", "b", "Q", "A", "a", "E"),
    inputs=("N", "D"),
    formula="exp(s N^q + S) + exp(B N^b + Q) D^-exp(A N^a + E)",
    source="Li et al. 2025 (Farseer), arXiv 2506.10972",
    bounds={
        "s": SLOPE,
        "q": POWER,
        "S": LEVEL,
        "B": SLOPE,
        "b": POWER,
        "Q": LEVEL,
        "A": SLOPE,
        "a": POWER,
        "E": Bound(-8.0, 2.5),
    },
    exponents={"q": "N", "b": "N", "a": "N"},
    default_starts=32,
)
