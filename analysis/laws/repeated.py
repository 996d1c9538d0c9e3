"""Chinchilla with repeated data: repeated examples count less, and so do surplus parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from analysis.laws.additive import AdditiveLaw, Term, add_curvature, solve_linear
from analysis.laws.base import COEFFICIENT, FLOOR, Array, Bound, Evaluation, Inputs, between, spread
from analysis.laws.joint import CHINCHILLA, ChinchillaLaw


@dataclass(frozen=True)
class RepeatedLaw(ChinchillaLaw):
    """E + A N'^-alpha + B D'^-beta, with diminishing returns from repeated data and surplus parameters.

    D' = U (1 + R* (1 - exp(-R / R*))), U = min(D, D_unique), R = D / U - 1, and likewise N' with U_N = min(N, the
    compute-optimal N for U). Inner: R*_D and R*_N as logarithms.
    """

    def terms(self, theta: Array, inputs: Inputs) -> list[Term]:
        """Return both terms with first derivatives."""
        a, b, alpha, beta = (row[:, None] for row in theta[1:5])
        eff_N, eff_D, place = _both(theta, inputs)
        pull = np.where(place.surplus, -eff_N.by_unique, 0.0)
        du_N = (
            1.0 + pull,
            -pull,
            -eff_N.log + pull * (1 / alpha - place.enough),
            pull * (place.unique - 1 / beta),
            -alpha * eff_N.by_r,
        )
        return [
            Term((1, 2, 3, 4, 6), a - alpha * eff_N.log, du_N, {}),
            Term((2, 4, 5), b - beta * eff_D.log, (1.0, -eff_D.log, -beta * eff_D.by_r), {}),
        ]

    def evaluate(self, theta: Array, inputs: Inputs) -> Evaluation:
        """Return log f with its first and second derivatives."""
        h, gradient, _ = AdditiveLaw.evaluate(self, theta, inputs)

        def curvature(v: Array) -> tuple[Array, float]:
            matrix = np.zeros((7, 7, theta.shape[1]))
            bent = self._bent(theta, inputs)
            for term, second in zip(self.terms(theta, inputs), bent, strict=True):
                add_curvature(matrix, term._replace(d2u=second), v * np.exp(term.u - h))
            return matrix, -1.0

        return Evaluation(h, gradient, curvature)

    def _bent(self, theta: Array, inputs: Inputs) -> list[dict[tuple[int, int], Array]]:
        """Return the second derivatives of both terms, by pairs of places among their parameters."""
        alpha, beta = (row[:, None] for row in theta[3:5])
        eff_N, eff_D, place = _both(theta, inputs)
        F, S = np.where(place.surplus, eff_N.by_unique, 0.0), eff_N.second()
        by_r = np.where(place.surplus, S.unique_r, 0.0)
        e = (1 / alpha, -1 / alpha, (1 / alpha - place.enough) / alpha, (place.unique - 1 / beta) / alpha)
        moved = {  # second derivatives of the sufficient N by its four parameters: A, B, alpha, beta
            (0, 2): -1 / alpha**2,
            (1, 2): 1 / alpha**2,
            (2, 2): -1 / alpha**3 - 2 * e[2] / alpha,
            (2, 3): -e[3] / alpha,
            (3, 3): 1 / (beta**2 * alpha),
        }
        bend = np.where(place.surplus, S.unique, 0.0)
        N: dict[tuple[int, int], Array] = {}
        for j in range(4):
            for i in range(j + 1):
                value = -alpha * (bend * e[i] * e[j] + F * moved.get((i, j), 0.0))
                N[i, j] = value - F * ((i == 2) * e[j] + (j == 2) * e[i])
            N[j, 4] = -alpha * by_r * e[j] - (j == 2) * eff_N.by_r
        N[4, 4] = -alpha * S.r
        return [N, {(1, 2): -eff_D.by_r, (2, 2): -beta * eff_D.second().r}]

    def starts(self, inputs: Inputs, log_y: Array, weights: Array, count: int, rng: np.random.Generator) -> Array:
        """Draw exponents and half-lives, and solve for the linear part as if no parameter were surplus."""
        u = spread(count, 4, rng)
        theta = np.zeros((7, count))
        theta[3], theta[4] = between(u[0], 0.05, 2.0), between(u[1], 0.05, 2.0)
        theta[5], theta[6] = np.log(between(u[2], 1.0, 50.0)), np.log(between(u[3], 1.0, 50.0))
        plain = solve_linear(CHINCHILLA, theta[:5], inputs, log_y, weights)
        return np.concatenate([plain, theta[5:]])


class Place(NamedTuple):
    """Log of the distinct examples, log of the parameters sufficient for them, and a mask of surplus parameters."""

    unique: Array
    enough: Array
    surplus: Array


class Second(NamedTuple):
    """Second derivatives of an effective count: by log unique, by it and log R*, by log R*."""

    unique: Array
    unique_r: Array
    r: Array


@dataclass(frozen=True)
class Effective:
    """log of unique (1 + R* (1 - exp(-R / R*))), with its derivatives by log unique and by log R*."""

    log: Array
    by_unique: Array
    by_r: Array
    parts: tuple[Array, Array, Array, Array, Array]

    def second(self) -> Second:
        """Return the second derivatives."""
        repeats, r, z, fade, growth = self.parts
        m = (repeats + 1) * fade / growth
        slope = r * (1 - fade - z * fade) / growth
        return Second(m - (repeats + 1) * m / r - m**2, m * (slope - z), slope - r * z**2 * fade / growth - slope**2)


def _effective(total: Array, unique: Array, log_r: Array) -> Effective:
    """Compute the effective number of examples (or parameters) from the total and the distinct number; all logs."""
    repeats = np.maximum(np.expm1(total - unique), 0.0)
    r = np.exp(log_r)
    z = repeats / r
    fade = np.exp(-z)
    growth = 1 + r * -np.expm1(-z)
    by_unique = 1 - (repeats + 1) * fade / growth
    by_r = r * (1 - fade - z * fade) / growth
    return Effective(unique + np.log(growth), by_unique, by_r, (repeats, r, z, fade, growth))


def _both(theta: Array, inputs: Inputs) -> tuple[Effective, Effective, Place]:
    """Return the effective N and D, and the place of each point (see `Place`)."""
    _, a, b, alpha, beta, log_rd, log_rn = (row[:, None] for row in theta)
    unique = np.minimum(inputs["D"], inputs["D_unique"])
    enough = (np.log(alpha / beta) + a - b + beta * unique) / alpha
    surplus = enough < inputs["N"]
    eff_N = _effective(inputs["N"], np.where(surplus, enough, inputs["N"]), log_rn)
    return eff_N, _effective(inputs["D"], unique, log_rd), Place(unique, enough, surplus)


REPEATED = RepeatedLaw(
    name="repeated",
    params=("E", "A", "B", "alpha", "beta", "R_D", "R_N"),
    inputs=("N", "D", "D_unique"),
    formula="E + A N'^-alpha + B D'^-beta, D' = U (1 + R_D (1 - exp(-(D/U - 1)/R_D))), U = min(D, D_unique)",
    source="Muennighoff et al. 2023, arXiv 2305.16264",
    bounds={
        "E": FLOOR,
        "A": COEFFICIENT,
        "B": COEFFICIENT,
        "alpha": Bound(1e-3, 10.0, by_factor=True),
        "beta": Bound(1e-3, 10.0, by_factor=True),
        "R_D": Bound(-5.0, 9.0),
        "R_N": Bound(-5.0, 9.0),
    },
    exponents=CHINCHILLA.exponents,
    centred_with={"D_unique": "D"},
    powers=CHINCHILLA.powers,
    logs={"R_D": "", "R_N": ""},
)
