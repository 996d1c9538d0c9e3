"""Laws in N and D together, and in width, depth and D."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.laws.additive import AdditiveLaw, Power, Term, solve_linear
from analysis.laws.base import (
    COEFFICIENT,
    EXPONENT,
    FLOOR,
    Array,
    Bound,
    Evaluation,
    Inputs,
    Law,
    Units,
    between,
    differenced,
    spread,
)


@dataclass(frozen=True)
class ChinchillaLaw(AdditiveLaw):
    """E + A N^-alpha + B D^-beta."""

    def tradeoff(self, params: Mapping[str, Array]) -> tuple[Array, Array, Array, Array]:
        """Return the parameters that decide the optimum."""
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
        theta = np.stack([middle - 3 * u[0], middle - 3 * u[1], between(u[2], 0.02, 1.5), between(u[3], 0.02, 1.5)])
        low, high = self.box()
        return np.clip(theta, low[:, None], high[:, None])

    def tradeoff(self, params: Mapping[str, Array]) -> tuple[Array, Array, Array, Array]:
        """Return the optimum's parameters: that of (Nc/N)^(alpha_N/alpha_D) + Dc/D."""
        ratio = params["alpha_N"] / params["alpha_D"]
        with np.errstate(over="ignore"):
            return params["Nc"] ** ratio, params["Dc"], ratio, np.ones_like(ratio)


@dataclass(frozen=True)
class RepeatedLaw(AdditiveLaw):
    """E + A N'^-alpha + B D'^-beta, where repeated data and surplus parameters count less and less.

    D' = U (1 + R* (1 - exp(-R / R*))), U = min(D, D_unique), R = D / U - 1, and likewise N' with U_N = min(N, the
    compute-optimal N for U). Inner: R*_D and R*_N as logarithms.
    """

    @property
    def centred_with(self) -> Mapping[str, str]:
        """Let D_unique share the centre of D."""
        return {"D_unique": "D"}

    def terms(self, theta: Array, inputs: Inputs) -> list[Term]:
        """Return both terms with first derivatives (second ones come from differences)."""
        _, a, b, alpha, beta, log_rd, log_rn = (row[:, None] for row in theta)
        unique = np.minimum(inputs["D"], inputs["D_unique"])
        eff_D, _, by_rd = _effective(inputs["D"], unique, log_rd)
        enough = (np.log(alpha / beta) + a - b + beta * unique) / alpha
        surplus = enough < inputs["N"]
        unique_N = np.where(surplus, enough, inputs["N"])
        eff_N, by_unique, by_rn = _effective(inputs["N"], unique_N, log_rn)
        pull = np.where(surplus, -by_unique, 0.0)
        du_N = (
            1.0 + pull,
            -pull,
            -eff_N + pull * (1 / alpha - enough),
            pull * (unique - 1 / beta),
            -alpha * by_rn,
        )
        return [
            Term((1, 2, 3, 4, 6), a - alpha * eff_N, du_N, {}),
            Term((2, 4, 5), b - beta * eff_D, (1.0, -eff_D, -beta * by_rd), {}),
        ]

    def evaluate(self, theta: Array, inputs: Inputs) -> Evaluation:
        """Return log f with first derivatives, and second ones by differences of those."""
        h, gradient, _ = AdditiveLaw.evaluate(self, theta, inputs)
        return Evaluation(h, gradient, lambda v: differenced(self, theta, inputs, v))

    def unscale(self, theta: Array, units: Units) -> Array:
        """Turn inner vectors into physical parameters."""
        outer = AdditiveLaw.unscale(self, theta, units)
        outer[5:] = np.exp(theta[5:])
        return outer

    def scale(self, params: Mapping[str, Any], units: Units) -> Array:
        """Turn physical parameters into the inner vector."""
        inner = AdditiveLaw.scale(self, params, units)
        inner[5:] = np.log(inner[5:])
        return inner

    def tradeoff(self, params: Mapping[str, Array]) -> tuple[Array, Array, Array, Array]:
        """Return the optimum's parameters while data are not repeated."""
        return params["A"], params["B"], params["alpha"], params["beta"]

    def starts(self, inputs: Inputs, log_y: Array, weights: Array, count: int, rng: np.random.Generator) -> Array:
        """Draw exponents and half-lives; the linear part is solved for as if no parameter were surplus."""
        u = spread(count, 4, rng)
        theta = np.zeros((7, count))
        theta[3], theta[4] = between(u[0], 0.05, 2.0), between(u[1], 0.05, 2.0)
        theta[5], theta[6] = np.log(between(u[2], 1.0, 50.0)), np.log(between(u[3], 1.0, 50.0))
        plain = solve_linear(CHINCHILLA, theta[:5], inputs, log_y, weights)
        return np.concatenate([plain, theta[5:]])


def _effective(total: Array, unique: Array, log_r: Array) -> tuple[Array, Array, Array]:
    """Return log of unique (1 + R* (1 - exp(-R / R*))), with its derivatives by log unique and by log R*."""
    repeats = np.maximum(np.expm1(total - unique), 0.0)
    r = np.exp(log_r)
    z = repeats / r
    fade = np.exp(-z)
    growth = 1 + r * -np.expm1(-z)
    by_unique = 1 - (repeats + 1) * fade / growth
    return unique + np.log(growth), by_unique, r * (1 - fade - z * fade) / growth


CHINCHILLA = ChinchillaLaw(
    name="chinchilla",
    params=("E", "A", "B", "alpha", "beta"),
    inputs=("N", "D"),
    formula="E + A N^-alpha + B D^-beta",
    source="Hoffmann et al. 2022, arXiv 2203.15556",
    bounds={"E": FLOOR, "A": COEFFICIENT, "B": COEFFICIENT, "alpha": EXPONENT, "beta": EXPONENT},
    exponents={"alpha": "N", "beta": "D"},
    powers=(Power("A", "alpha", "N"), Power("B", "beta", "D")),
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
    exponents={"alpha": "N", "beta": "D"},
    powers=(Power("A", "alpha", "N"), Power("B", "beta", "D")),
)

WIDTH_DEPTH = AdditiveLaw(
    name="width_depth",
    params=("E", "A", "B", "G", "a", "b", "c"),
    inputs=("width", "depth", "D"),
    formula="E + A width^-a + B depth^-b + G D^-c",
    source="Alabdulmohsin et al. 2023, arXiv 2305.13035; McLeish et al. 2025 (Gemstones), arXiv 2502.06857",
    bounds={
        "E": FLOOR,
        "A": COEFFICIENT,
        "B": COEFFICIENT,
        "G": COEFFICIENT,
        "a": EXPONENT,
        "b": EXPONENT,
        "c": EXPONENT,
    },
    exponents={"a": "width", "b": "depth", "c": "D"},
    powers=(Power("A", "a", "width"), Power("B", "b", "depth"), Power("G", "c", "D")),
)
