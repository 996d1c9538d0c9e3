"""Laws in N and D together, and in width, depth and D."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.laws.additive import AdditiveLaw, Power, sum_of_powers
from analysis.laws.base import COEFFICIENT, Array, Bound, Evaluation, Inputs, Law, Units, between, spread


@dataclass(frozen=True)
class ChinchillaLaw(AdditiveLaw):
    """E + A N^-alpha + B D^-beta."""

    def tradeoff(self, params: Mapping[str, Array]) -> tuple[Array, Array, Array, Array]:
        """Return (A, B, alpha, beta) of the optimum without repeated data."""
        return params["A"], params["B"], params["alpha"], params["beta"]


@dataclass(frozen=True)
class KaplanLaw(Law):
    """((Nc/N)^(alpha_N/alpha_D) + Dc/D)^alpha_D.

    Inner vector: p = alpha_N log Nc, q = alpha_D log Dc (the logarithms of the two limits at the centre), alpha_N and
    alpha_D, with h = T logsumexp(m / T), m = (p - alpha_N log N, q - alpha_D log D), T = alpha_D.
    """

    def evaluate(self, theta: Array, inputs: Inputs) -> Evaluation:
        """Return log f with its first and second derivatives."""
        p, q, alpha_N, T = (row[:, None] for row in theta)
        N, D = inputs["N"], inputs["D"]
        u = (p - alpha_N * N) / T, q / T - D
        s = np.logaddexp(*u)
        share = np.exp(u[0] - s), np.exp(u[1] - s)

        def gradient() -> list[Array]:
            entropy = s - share[0] * u[0] - share[1] * u[1]
            return [share[0], share[1], -N * share[0], entropy - share[1] * D]

        def curvature(v: Array) -> tuple[Array, float]:
            weight = v * share[0] * share[1] / T
            apart = [np.ones_like(s), -np.ones_like(s), np.broadcast_to(-N, s.shape), D - (u[0] - u[1])]
            matrix = np.empty((4, 4, theta.shape[1]))
            for i in range(4):
                for j in range(4):
                    matrix[i, j] = np.einsum("bn,bn,bn->b", weight, apart[i], apart[j])
            return matrix, 0.0

        return Evaluation(T * s, gradient, curvature)

    def scale(self, params: Mapping[str, Any], units: Units) -> Array:
        """Turn physical parameters into the inner vector."""
        value = {name: np.asarray(params[name], dtype=float) for name in self.params}
        p = value["alpha_N"] * (np.log(value["Nc"]) - units.log_inputs["N"]) - units.log_y
        q = value["alpha_D"] * (np.log(value["Dc"]) - units.log_inputs["D"]) - units.log_y
        return np.stack([p, q, value["alpha_N"], value["alpha_D"]])

    def unscale(self, theta: Array, units: Units) -> Array:
        """Turn inner vectors into physical parameters."""
        p, q, alpha_N, alpha_D = theta
        with np.errstate(over="ignore"):
            Nc = np.exp((p + units.log_y) / alpha_N + units.log_inputs["N"])
            Dc = np.exp((q + units.log_y) / alpha_D + units.log_inputs["D"])
        return np.stack([Nc, Dc, alpha_N, alpha_D])

    def starts(self, inputs: Inputs, log_y: Array, weights: Array, count: int, rng: np.random.Generator) -> Array:
        """Draw both exponents and both limits."""
        u = spread(count, 4, rng)
        middle = np.median(log_y)
        exponents = between(u[2], 0.02, 1.5), between(u[3], 0.02, 1.5)
        return self.clip(np.stack([middle - 3 * u[0], middle - 3 * u[1], *exponents]))

    def tradeoff(self, params: Mapping[str, Array]) -> tuple[Array, Array, Array, Array]:
        """Return the optimum's parameters: that of (Nc/N)^(alpha_N/alpha_D) + Dc/D."""
        ratio = params["alpha_N"] / params["alpha_D"]
        with np.errstate(over="ignore"):
            return params["Nc"] ** ratio, params["Dc"], ratio, np.ones_like(ratio)


CHINCHILLA = sum_of_powers(
    "chinchilla",
    (Power("A", "alpha", "N"), Power("B", "beta", "D")),
    ChinchillaLaw,
    formula="E + A N^-alpha + B D^-beta",
    source="Hoffmann et al. 2022, arXiv 2203.15556",
)

KAPLAN = KaplanLaw(
    name="kaplan",
    params=("Nc", "Dc", "alpha_N", "alpha_D"),
    inputs=("N", "D"),
    formula="((Nc/N)^(alpha_N/alpha_D) + Dc/D)^alpha_D",
    source="Kaplan et al. 2020, arXiv 2001.08361, equation 1.5",
    bounds={
        "Nc": COEFFICIENT,
        "Dc": COEFFICIENT,
        "alpha_N": Bound(1e-3, 10.0, by_factor=True),
        "alpha_D": Bound(1e-3, 10.0, by_factor=True),
    },
    exponents={"alpha_N": "N", "alpha_D": "D"},
)

WIDTH_DEPTH = sum_of_powers(
    "width_depth",
    (Power("A", "a", "width"), Power("B", "b", "depth"), Power("G", "c", "D")),
    AdditiveLaw,
    formula="E + A width^-a + B depth^-b + G D^-c",
    source="Alabdulmohsin et al. 2023, arXiv 2305.13035; McLeish et al. 2025 (Gemstones), arXiv 2502.06857",
)
