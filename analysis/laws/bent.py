"""One-variable laws that bend: M3 and M4 of Alabdulmohsin et al. 2022."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.laws.base import EXPONENT, FLOOR, Array, Bound, Evaluation, Inputs, Law, Units, between, spread

SAME_AS_SATURATING = "the data show no upper plateau, and saturating says the same with two parameters less"


@dataclass(frozen=True)
class M3Law(Law):
    """y = a (1/x + b)^alpha. Inner vector: log a, log b, alpha."""

    def evaluate(self, theta: Array, inputs: Inputs) -> Evaluation:
        """Return log f with its first and second derivatives."""
        a, b, alpha = (row[:, None] for row in theta)
        s = np.logaddexp(-inputs["x"], b)
        q = np.exp(b - s)

        def curvature(v: Array) -> tuple[Array, float]:
            matrix = np.zeros((3, 3, theta.shape[1]))
            matrix[1, 1] = np.einsum("bn,bn->b", v, alpha * q * (1 - q))
            matrix[1, 2] = matrix[2, 1] = np.einsum("bn,bn->b", v, q)
            return matrix, 0.0

        return Evaluation(a + alpha * s, lambda: [np.ones_like(s), alpha * q, s], curvature)

    def scale(self, params: Mapping[str, Any], units: Units) -> Array:
        """Turn physical parameters into the inner vector."""
        x0, alpha = units.log_inputs["x"], np.asarray(params["alpha"], dtype=float)
        with np.errstate(divide="ignore"):
            b = np.maximum(np.log(np.asarray(params["b"], dtype=float)) + x0, self.bounds["b"].low)
        return np.stack([np.log(params["a"]) - alpha * x0 - units.log_y, b, alpha])

    def unscale(self, theta: Array, units: Units) -> Array:
        """Turn inner vectors into physical parameters."""
        x0 = units.log_inputs["x"]
        return np.stack([np.exp(theta[0] + theta[2] * x0 + units.log_y), np.exp(theta[1] - x0), theta[2]])

    def starts(self, inputs: Inputs, log_y: Array, weights: Array, count: int, rng: np.random.Generator) -> Array:
        """Draw b from far below to above 1/x, with a and alpha by linear regression."""
        x = inputs["x"]
        b = -x.max() - 4 + spread(count, 1, rng)[0] * (np.ptp(x) + 5)
        s = np.logaddexp(-x, b[:, None])
        total = weights.sum()
        centred = s - ((s * weights).sum(axis=1) / total)[:, None]
        alpha = (centred * weights * log_y).sum(axis=1) / np.maximum((centred**2 * weights).sum(axis=1), 1e-300)
        a = (weights * log_y).sum() / total - alpha * (s - centred)[:, 0]
        return self.clip(np.stack([a, b, alpha]))

    def inverse(self, params: Mapping[str, Array], y: Array) -> Array:
        """Return x = 1 / ((y / a)^(1 / alpha) - b)."""
        with np.errstate(all="ignore"):
            over = (y / params["a"]) ** (1 / params["alpha"]) - params["b"]
            return np.where(over > 0, 1 / over, np.nan)


@dataclass(frozen=True)
class M4Law(Law):
    """(y - E) / (e0 - y)^gamma = a x^-alpha: a power law between the plateau e0 and the floor E.

    Inner vector: E, log(e0 - E), a, alpha, gamma, with y = E + W sigma(s), W = e0 - E and
    log sigma(s) - gamma log sigma(-s) = a - alpha log x; s by Newton's method, which that concave or convex equation
    makes monotone.
    """

    def evaluate(self, theta: Array, inputs: Inputs) -> Evaluation:
        """Return log f with its first and second derivatives."""
        E, width, a, alpha, gamma = (row[:, None] for row in theta)
        x = inputs["x"]
        s = _invert(a - alpha * x, gamma)
        up, down = 1 / (1 + np.exp(-s)), 1 / (1 + np.exp(s))
        W = np.exp(width)
        y = E + W * up
        slope = down + gamma * up
        log_down = -np.logaddexp(0.0, s)
        by_level, by_gamma = 1 / slope, log_down / slope
        rise = W * up * down

        def gradient() -> list[Array]:
            level = rise * by_level / y
            return [1 / y, W * up / y, level, -x * level, rise * by_gamma / y]

        def curvature(v: Array) -> tuple[Array, float]:
            bend = (gamma - 1) * up * down
            pull = bend * by_gamma + up
            second = {
                "level": -bend / slope**3,
                "cross": -pull / slope**2,
                "gamma": -up * by_gamma / slope - log_down * pull / slope**2,
            }
            first = [by_level, -x * by_level, by_gamma]
            factor = [[second["level"], -x * second["level"], second["cross"]]]
            factor.append([factor[0][1], x**2 * second["level"], -x * second["cross"]])
            factor.append([factor[0][2], factor[1][2], second["gamma"]])
            matrix = np.zeros((5, 5, theta.shape[1]))
            share = v * rise / y
            matrix[1, 1] = np.einsum("bn,bn->b", v, W * up / y)
            for i in range(3):
                matrix[1, 2 + i] = matrix[2 + i, 1] = np.einsum("bn,bn->b", share, first[i])
                for j in range(3):
                    both = (down - up) * first[i] * first[j] + factor[i][j]
                    matrix[2 + i, 2 + j] = np.einsum("bn,bn->b", share, both)
            return matrix, -1.0

        return Evaluation(np.log(y), gradient, curvature)

    def scale(self, params: Mapping[str, Any], units: Units) -> Array:
        """Turn physical parameters into the inner vector."""
        p = {name: np.asarray(params[name], dtype=float) for name in self.params}
        E = p["E"] / np.exp(units.log_y)
        width = np.log(p["e0"] - p["E"]) - units.log_y
        level = np.log(p["a"]) - p["alpha"] * units.log_inputs["x"] - (1 - p["gamma"]) * (width + units.log_y)
        return np.stack([E, width, level, p["alpha"], p["gamma"]])

    def unscale(self, theta: Array, units: Units) -> Array:
        """Turn inner vectors into physical parameters."""
        E, width, level, alpha, gamma = theta
        y0 = np.exp(units.log_y)
        with np.errstate(over="ignore"):
            a = np.exp(level + alpha * units.log_inputs["x"] + (1 - gamma) * (width + units.log_y))
        return np.stack([E * y0, (E + np.exp(width)) * y0, a, alpha, gamma])

    def starts(self, inputs: Inputs, log_y: Array, weights: Array, count: int, rng: np.random.Generator) -> Array:
        """Screen many floors and plateaus, for which the law is nearly linear in a, alpha and gamma; keep the best."""
        u = spread(40 * count, 2, rng)
        x, y = inputs["x"], np.exp(log_y)
        E = y.min() * (1 - between(u[0], 1e-4, 1.0))
        e0 = y.max() * (1 + between(u[1], 1e-4, 10.0))
        W = e0 - E
        down, up = np.log((e0[:, None] - y) / W[:, None]), np.log((y - E[:, None]) / W[:, None])
        design = np.stack([np.ones_like(down), np.broadcast_to(-x, down.shape), down], axis=-1)
        gamma = np.ones(len(E))
        # A residual of the linear equation is that of log y times a slope that depends on gamma, hence two iterations.
        for _ in range(2):
            slope = y / (y - E[:, None]) + gamma[:, None] * y / (e0[:, None] - y)
            scaled = design * (np.sqrt(weights) / slope)[..., None]
            target = up * np.sqrt(weights) / slope
            gram = np.einsum("bni,bnj->bij", scaled, scaled) + 1e-9 * np.eye(3)
            right = np.einsum("bni,bn->bi", scaled, target)
            solution = np.linalg.solve(gram, right[..., None])[..., 0]
            gamma = np.clip(solution[:, 2], 0.02, 10.0)
        alpha = np.maximum(solution[:, 1], 0.02)
        wrong = np.abs(target - np.einsum("bni,bi->bn", scaled, np.stack([solution[:, 0], alpha, gamma], axis=1)))
        best = np.argsort(wrong.sum(axis=1), kind="stable")[:count]
        return self.clip(np.stack([E, np.log(W), solution[:, 0], alpha, gamma])[:, best])

    def inverse(self, params: Mapping[str, Array], y: Array) -> Array:
        """Return x = (a (e0 - y)^gamma / (y - E))^(1 / alpha)."""
        p = params
        inside = (y > p["E"]) & (y < p["e0"])
        with np.errstate(all="ignore"):
            x = (p["a"] * (p["e0"] - y) ** p["gamma"] / (y - p["E"])) ** (1 / p["alpha"])
        return np.where(inside, x, np.nan)


def _invert(level: Array, gamma: Array) -> Array:
    """Solve log sigma(s) - gamma log sigma(-s) = level for s."""
    safe = np.maximum(gamma, 1e-3)
    s = np.clip(np.where(level < 0, level, level / safe), -700, 700)
    shape = s.shape
    found = s.ravel()
    where: Any = slice(None)
    bounded = False
    for _ in range(30):
        up = 1 / (1 + np.exp(-s))
        wrong = -np.logaddexp(0.0, -s) + gamma * np.logaddexp(0.0, s) - level
        step = wrong / np.maximum(1 - up + gamma * up, 1e-12)
        before, s = s, np.clip(s - step, -700, 700)
        if not (bounded or np.abs(step).max() >= 1e-10):
            break
        moves = s != before
        if np.count_nonzero(moves) < 0.75 * s.size:  # converged elements stay so, and few need many iterations
            found[where] = s.ravel()
            bounded |= bool((np.abs(step[~moves]) >= 1e-10).any())
            where = np.arange(len(found))[where][moves.ravel()]
            level, gamma, s = level[moves], np.broadcast_to(gamma, s.shape)[moves], s[moves]
            if not s.size:
                break
    found[where] = s.ravel()
    return found.reshape(shape)


M3 = M3Law(
    name="m3",
    params=("a", "b", "alpha"),
    inputs=("x",),
    formula="a (1/x + b)^alpha",
    source="Alabdulmohsin et al. 2022, arXiv 2209.06640",
    bounds={
        "a": Bound(-30.0, 60.0),
        "b": Bound(-25.0, 10.0, at_low="the data show no floor, and power fits the same with one parameter less"),
        "alpha": EXPONENT,
    },
    exponents={"alpha": "x"},
)

M4 = M4Law(
    name="m4",
    params=("E", "e0", "a", "alpha", "gamma"),
    inputs=("x",),
    formula="(y - E) / (e0 - y)^gamma = a x^-alpha",
    source="Alabdulmohsin et al. 2022, arXiv 2209.06640",
    bounds={
        "E": FLOOR,
        "e0": Bound(-7.0, 7.0),
        "a": Bound(-30.0, 30.0),
        "alpha": EXPONENT,
        "gamma": Bound(1e-3, 20.0, at_low=SAME_AS_SATURATING),
    },
    exponents={"alpha": "x", "gamma": "y"},
    default_starts=12,
)
