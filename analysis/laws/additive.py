"""Laws of the form floor plus terms exp(u_k): most laws, from the plain power law to repeated data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

import numpy as np

from analysis.laws.base import COEFFICIENT, EXPONENT, FLOOR, Array, Evaluation, Inputs, Law, Units, between, spread


class Term(NamedTuple):
    """One term exp(u): u, its derivatives by the parameters `which`, and second derivatives by pairs of these."""

    which: tuple[int, ...]
    u: Array
    du: tuple[Array | float, ...]
    d2u: Mapping[tuple[int, int], Array | float]


class Power(NamedTuple):
    """A term coefficient * x^-exponent: the names of its two parameters and of its input."""

    coefficient: str
    exponent: str
    x: str


@dataclass(frozen=True)
class AdditiveLaw(Law):
    """f = E + sum_k exp(u_k), linear in E and in each coefficient.

    logs: other parameters whose inner form is their logarithm, each with the input whose unit it has ("" for none).
    """

    powers: tuple[Power, ...] = ()
    logs: Mapping[str, str] = field(repr=False, default_factory=dict)

    def terms(self, theta: Array, inputs: Inputs) -> list[Term]:
        """Return the terms for theta (p, B)."""
        out = []
        for power in self.powers:
            a, e = self.params.index(power.coefficient), self.params.index(power.exponent)
            x = inputs[power.x]
            out.append(Term((a, e), theta[a][:, None] - theta[e][:, None] * x, (1.0, -x), {}))
        return out

    def evaluate(self, theta: Array, inputs: Inputs) -> Evaluation:
        """Return log f with its first and second derivatives."""
        terms = self.terms(theta, inputs)
        values = [np.exp(term.u) for term in terms]
        total = sum(values[1:], values[0])
        if self.floor:
            total = total + theta[self.params.index("E")][:, None]
        inverse = 1.0 / total
        shares = [value * inverse for value in values]

        def gradient() -> list[Array]:
            slopes: list[Any] = [None] * len(self.params)
            if self.floor:
                slopes[self.params.index("E")] = inverse
            for term, share in zip(terms, shares, strict=True):
                for i, du in zip(term.which, term.du, strict=True):
                    part = share if isinstance(du, float) and du == 1.0 else share * du
                    slopes[i] = part if slopes[i] is None else slopes[i] + part
            return slopes

        def curvature(v: Array) -> tuple[Array, float]:
            p = len(self.params)
            matrix = np.zeros((p, p, theta.shape[1]))
            for term, share in zip(terms, shares, strict=True):
                add_curvature(matrix, term, v * share)
            return matrix, -1.0

        return Evaluation(np.log(total), gradient, curvature)

    def scale(self, params: Mapping[str, Any], units: Units) -> Array:
        """Turn physical parameters into the inner vector."""
        y0 = np.exp(units.log_y)
        inner = {name: np.asarray(params[name], dtype=float) for name in self.params}
        for power in self.powers:
            centred = np.log(inner[power.coefficient]) - inner[power.exponent] * units.log_inputs[power.x]
            inner[power.coefficient] = centred - units.log_y
        for name, x in self.logs.items():
            inner[name] = np.log(inner[name]) - units.log_inputs.get(x, 0.0)
        if self.floor:
            inner["E"] = inner["E"] / y0
        return np.stack([inner[name] for name in self.params])

    def unscale(self, theta: Array, units: Units) -> Array:
        """Turn inner vectors into physical parameters."""
        outer = dict(zip(self.params, theta, strict=True))
        with np.errstate(over="ignore", under="ignore"):
            for power in self.powers:
                shift = outer[power.exponent] * units.log_inputs[power.x] + units.log_y
                outer[power.coefficient] = np.exp(outer[power.coefficient] + shift)
            for name, x in self.logs.items():
                outer[name] = np.exp(outer[name] + units.log_inputs.get(x, 0.0))
            if self.floor:
                outer["E"] = outer["E"] * np.exp(units.log_y)
        return np.stack([outer[name] for name in self.params])

    def elasticity(self, theta: Array, inputs: Inputs, name: str) -> Array:
        """Return d log f / d log of one input: its terms' exponents, weighted by their shares of f."""
        if len(self.powers) != len(self.params) - len(self.powers) - self.floor:
            return Law.elasticity(self, theta, inputs, name)
        h = self.evaluate(theta, inputs).h
        slope = np.zeros_like(h)
        for power, term in zip(self.powers, self.terms(theta, inputs), strict=True):
            if power.x == name:
                slope -= theta[self.params.index(power.exponent)][:, None] * np.exp(term.u - h)
        return slope

    def shapes(self, inputs: Inputs, u: Array) -> Array:
        """Map one point of the unit cube per start to inner vectors with coefficients 1 (log 0)."""
        theta = np.zeros((len(self.params), u.shape[1]))
        for k, power in enumerate(self.powers):
            theta[self.params.index(power.exponent)] = between(u[k], 0.03, 3.0)
        return theta

    def starts(self, inputs: Inputs, log_y: Array, weights: Array, count: int, rng: np.random.Generator) -> Array:
        """Draw a wide range of shapes and solve for the linear part (E and the coefficients) of each."""
        theta = self.shapes(inputs, spread(count, max(1, len(self.params) - len(self.powers) - self.floor), rng))
        return solve_linear(self, theta, inputs, log_y, weights)


Kind = TypeVar("Kind", bound=AdditiveLaw)


def sum_of_powers(name: str, powers: Sequence[Power], kind: type[Kind], *, formula: str, source: str) -> Kind:
    """Return the law E plus these powers, with the usual bounds; params: E, the coefficients, the exponents."""
    bounds = {
        "E": FLOOR,
        **dict.fromkeys((power.coefficient for power in powers), COEFFICIENT),
        **dict.fromkeys((power.exponent for power in powers), EXPONENT),
    }
    return kind(
        name=name,
        params=tuple(bounds),
        inputs=tuple(power.x for power in powers),
        formula=formula,
        source=source,
        bounds=bounds,
        exponents={power.exponent: power.x for power in powers},
        powers=tuple(powers),
    )


def solve_linear(law: AdditiveLaw, theta: Array, inputs: Inputs, log_y: Array, weights: Array) -> Array:
    """Set the floor and the coefficients of each start to the relative least-squares solution, kept positive."""
    columns = [np.exp(np.clip(term.u, -80, 80) - log_y) for term in law.terms(theta, inputs)]
    index = [law.params.index(power.coefficient) for power in law.powers]
    if law.floor:
        columns.append(np.broadcast_to(np.exp(-log_y), columns[0].shape))
        index.append(law.params.index("E"))
    solution, size = relative_solution(np.stack(columns, axis=-1), weights, ridge=1e-10)
    solution = np.clip(solution, 1e-4, None) / size
    theta = theta.copy()
    for k, i in enumerate(index):
        theta[i] = solution[:, k] if law.params[i] == "E" else theta[i] + np.log(solution[:, k])
    return law.clip(theta)


def relative_solution(design: Array, weights: Array, *, ridge: float) -> tuple[Array, Array]:
    """Solve sum_k c_k design_k = 1 over the points of designs (B, n, k) by least squares.

    Returns c times the size of its column, and these sizes, both (B, k).
    """
    size = np.sqrt((weights[:, None] * design**2).sum(axis=1, keepdims=True)) + 1e-300
    design = design / size
    weighed = design * weights[:, None]
    gram = np.einsum("bni,bnj->bij", weighed, design) + ridge * np.eye(design.shape[-1])
    return np.linalg.solve(gram, weighed.sum(axis=1)[..., None])[..., 0], size[:, 0]


def add_curvature(matrix: Array, term: Term, weight: Array) -> None:
    """Add sum_i weight_i (du du^T + d2u) to the block of a term's parameters; weight (B, n)."""
    for k, i in enumerate(term.which):
        row = weight * term.du[k]
        for m, j in enumerate(term.which[: k + 1]):
            value = _dot(row, term.du[m])
            second = term.d2u.get((m, k))
            if second is not None:
                value = value + _dot(weight, second)
            matrix[i, j] += value
            if i != j:
                matrix[j, i] += value


def _dot(row: Array, factor: Array | float) -> Array:
    """Return sum_i row_i factor_i for each member of row (B, n); factor: (B, n), (n,) or a number."""
    if isinstance(factor, float):
        return factor * row.sum(axis=1)
    return np.einsum("bn,n->b" if factor.ndim == 1 else "bn,bn->b", row, factor)
