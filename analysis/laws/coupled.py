"""A law in which N and D limit each other: their terms are summed under a coupling exponent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from analysis.laws.additive import AdditiveLaw, Term, solve_linear
from analysis.laws.base import Array, Bound, Inputs, between, spread
from analysis.laws.joint import CHINCHILLA


@dataclass(frozen=True)
class CoupledLaw(AdditiveLaw):
    """E + ((A N^-alpha)^(1/kappa) + (B D^-beta)^(1/kappa))^kappa. Inner: kappa as its logarithm.

    kappa = 1 is chinchilla; towards 0 the larger of the two terms alone counts; E = 0 and kappa = beta is kaplan.
    """

    def terms(self, theta: Array, inputs: Inputs) -> list[Term]:
        """Return the one term with all its derivatives."""
        _, a, b, alpha, beta, log_kappa = (row[:, None] for row in theta)
        N, D, kappa = inputs["N"], inputs["D"], np.exp(log_kappa)
        P, Q = (a - alpha * N) / kappa, (b - beta * D) / kappa
        s = np.logaddexp(P, Q)
        share, other = np.exp(P - s), np.exp(Q - s)
        gap, cross = P - Q, share * other
        entropy = kappa * (s - share * P - other * Q)
        both, pull = cross / kappa, -cross * gap
        d2u = {
            (0, 0): both,
            (0, 1): -both,
            (1, 1): both,
            (0, 2): -N * both,
            (1, 2): N * both,
            (2, 2): N**2 * both,
            (0, 3): D * both,
            (1, 3): -D * both,
            (2, 3): -N * D * both,
            (3, 3): D**2 * both,
            (0, 4): pull,
            (1, 4): -pull,
            (2, 4): -N * pull,
            (3, 4): D * pull,
            (4, 4): entropy - kappa * pull * gap,
        }
        return [Term((1, 2, 3, 4, 5), kappa * s, (share, other, -N * share, -D * other, entropy), d2u)]

    def starts(self, inputs: Inputs, log_y: Array, weights: Array, count: int, rng: np.random.Generator) -> Array:
        """Draw the exponents, and solve for the linear part as if the terms were added without coupling."""
        u = spread(count, 3, rng)
        theta = np.zeros((6, count))
        theta[3], theta[4] = between(u[0], 0.05, 2.0), between(u[1], 0.05, 2.0)
        theta[:5] = solve_linear(CHINCHILLA, theta[:5], inputs, log_y, weights)
        theta[5] = np.log(between(u[2], 0.2, 2.0))
        return theta

    def tradeoff(self, params: Mapping[str, Array]) -> tuple[Array, Array, Array, Array]:
        """Return the optimum's parameters: those of the sum inside."""
        kappa = params["kappa"]
        with np.errstate(over="ignore"):
            coefficients = params["A"] ** (1 / kappa), params["B"] ** (1 / kappa)
        return *coefficients, params["alpha"] / kappa, params["beta"] / kappa


COUPLED = CoupledLaw(
    name="coupled",
    params=("E", "A", "B", "alpha", "beta", "kappa"),
    inputs=("N", "D"),
    formula="E + ((A N^-alpha)^(1/kappa) + (B D^-beta)^(1/kappa))^kappa",
    source="own form of the coupling that arXiv 2608.07222 names",
    bounds={**CHINCHILLA.bounds, "kappa": Bound(-3.0, 2.3, at_low="only the larger of the two terms counts")},
    exponents=CHINCHILLA.exponents,
    powers=CHINCHILLA.powers,
    logs={"kappa": ""},
)
