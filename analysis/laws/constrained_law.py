"""A law with some parameters fixed at a number, or tied to another parameter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from analysis.errors import UserError
from analysis.laws.base import Array, Evaluation, Inputs, Law, Units
from analysis.wording import listed

STEP = 1e-4
"""Step of the finite differences of constrained parameters by the free ones, where they are not affine."""


@dataclass(frozen=True)
class ConstrainedLaw(Law):
    """A law whose params are the free ones of base.

    fixed: values in physical units; tied: maps a parameter to the one that it equals. units, affine: set by `bind`;
    affine: the matrix and offset of `whole`, or None.
    """

    base: Law = field(default_factory=lambda: Law("", (), (), "", ""))
    fixed: Mapping[str, float] = field(default_factory=dict)
    tied: Mapping[str, str] = field(default_factory=dict)
    units: Units | None = None
    affine: tuple[Array, Array] | None = field(default=None, compare=False)

    def bind(self, units: Units) -> ConstrainedLaw:
        """Store the units that convert fixed values; raise `UserError` for a value outside the law's bounds."""
        bound = replace(self, base=self.base.bind(units), units=units)
        with np.errstate(all="ignore"):
            ones = dict.fromkeys(self.base.params, np.float64(1.0))
            usual = bound.base.scale(ones, units)
            inner = bound.base.scale({**ones, **{name: np.float64(x) for name, x in self.fixed.items()}}, units)
        low, high = self.base.box()
        for i, name in enumerate(self.base.params):
            plain = (name == "E" and self.base.floor) or name in self.base.exponents
            no_logarithm = not np.isfinite(inner[i]) and np.isfinite(usual[i])
            outside = (plain and not low[i] <= inner[i] <= high[i]) or no_logarithm
            if name in self.fixed and outside:
                raise UserError(
                    f"found {name} fixed at {self.fixed[name]:g}, which the law {self.name} does not allow; change it"
                )
        return replace(bound, affine=bound.as_affine())

    def whole(self, theta: Array) -> Array:
        """Return the inner vectors of the base law (q, …) for those of the free parameters (p, …)."""
        if self.affine is not None:
            matrix, offset = self.affine
            return np.einsum("ij,j...->i...", matrix, theta) + offset.reshape(-1, *(1,) * (theta.ndim - 1))
        return self._solved(theta)

    def _solved(self, theta: Array) -> Array:
        """Set the constrained parameters in physical units, and convert back to inner vectors."""
        assert self.units is not None
        full = np.full((len(self.base.params), *theta.shape[1:]), 0.5)
        where = {name: i for i, name in enumerate(self.base.params)}
        full[[where[name] for name in self.params]] = theta
        for _ in range(2):  # a coefficient's inner value depends on its exponent, which may be constrained too
            for name in (*self.fixed, *self.tied):
                with np.errstate(all="ignore"):
                    outer = dict(zip(self.base.params, self.base.unscale(full, self.units), strict=True))
                    outer[name] = np.full(theta.shape[1:], self._value(name, outer))
                    full[where[name]] = self.base.scale(outer, self.units)[where[name]]
        return full

    def as_affine(self) -> tuple[Array, Array] | None:
        """Return matrix (q, p) and offset (q,) of `whole`; None where it is not affine (m4)."""
        p = len(self.params)
        probes = np.random.default_rng(0).uniform(0.1, 0.9, (p, 2))
        middle = np.full((p, 1), 0.5)
        ends = self._solved(middle + np.concatenate([np.zeros((p, 1)), np.eye(p) / 4], axis=1))
        matrix = 4 * (ends[:, 1:] - ends[:, :1])
        matrix[np.abs(matrix) < 1e-12] = 0.0
        offset = ends[:, 0] - matrix @ middle[:, 0]
        same = np.allclose(matrix @ probes + offset[:, None], self._solved(probes), rtol=0, atol=1e-7)
        return (matrix, offset) if same else None

    def complete(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Add the constrained parameters to the free ones, in the law's order."""
        return {name: self._value(name, params) for name in self.base.params}

    def evaluate(self, theta: Array, inputs: Inputs) -> Evaluation:
        """Return log f and its derivatives by the free parameters."""
        inner = self.base.evaluate(self.whole(theta), inputs)
        curvature = inner.curvature

        def gradient() -> list[Array]:
            rows, moves = inner.gradient(), self._moves(theta)
            return [
                sum((rows[j] * moves[j, i][:, None] for j in range(len(rows)) if moves[j, i].any()), np.zeros(1))
                for i in range(len(theta))
            ]

        def bent(v: Array) -> tuple[Array, float]:
            assert curvature is not None
            matrix, s = curvature(v)
            moves = self._moves(theta)
            return np.einsum("jib,jkb,klb->ilb", moves, matrix, moves), s

        return Evaluation(inner.h, gradient, bent if curvature else None)

    def scale(self, params: Mapping[str, Any], units: Units) -> Array:
        """Turn physical parameters into the free inner vector."""
        whole = self.complete(params)
        values = np.broadcast_arrays(*(np.asarray(value, dtype=float) for value in whole.values()))
        return self.base.scale(dict(zip(whole, values, strict=True)), units)[self._free]

    def unscale(self, theta: Array, units: Units) -> Array:
        """Turn free inner vectors into the free physical parameters."""
        return self.base.unscale(self.whole(theta), units)[self._free]

    def starts(self, inputs: Inputs, log_y: Array, weights: Array, count: int, rng: np.random.Generator) -> Array:
        """Draw starts of the base law without the constrained parameters."""
        return self.base.starts(inputs, log_y, weights, count, rng)[self._free]

    def inverse(self, params: Mapping[str, Array], y: Array) -> Array | None:
        """Return the x at which the law reaches y."""
        return self.base.inverse(self.complete(params), y)

    def elasticity(self, theta: Array, inputs: Inputs, name: str) -> Array:
        """Return d log f / d log of one input."""
        return self.base.elasticity(self.whole(theta), inputs, name)

    def tradeoff(self, params: Mapping[str, Array]) -> tuple[Array, Array, Array, Array] | None:
        """Return (A, B, alpha, beta) of the base law's optimum, or None."""
        split = self.base.tradeoff(self.complete(params))
        if split is None:
            return None
        A, B, alpha, beta = np.broadcast_arrays(*split)
        return A, B, alpha, beta

    def others(self, params: Mapping[str, Array], log_N: Array, log_D: Array) -> Mapping[str, Array]:
        """Return the other inputs at the optimum."""
        return self.base.others(self.complete(params), log_N, log_D)

    def lacks(self, inputs: Mapping[str, Array]) -> str:
        """Say what the inputs lack."""
        return self.base.lacks(inputs)

    @property
    def floor(self) -> bool:
        """Tell whether the law has an irreducible loss, fixed or not, named E."""
        return self.base.floor

    @property
    def exponent(self) -> str | None:
        """Return the name of the law's only exponent if it is free, else None."""
        return self.base.exponent if self.base.exponent in self.exponents else None

    @property
    def constraint_words(self) -> dict[str, str]:
        """Return the constraint of each fixed or tied parameter, in words."""
        return {**dict.fromkeys(self.fixed, "fixed"), **{name: f"= {other}" for name, other in self.tied.items()}}

    @property
    def _free(self) -> list[int]:
        return [self.base.params.index(name) for name in self.params]

    def _value(self, name: str, params: Mapping[str, Any]) -> Any:
        if name in self.fixed:
            return self.fixed[name]
        return self._value(self.tied[name], params) if name in self.tied else params[name]

    def _moves(self, theta: Array) -> Array:
        """Return the Jacobian (q, p, B) of the base's inner vector by the free one."""
        if self.affine is not None:
            return np.broadcast_to(self.affine[0][:, :, None], (*self.affine[0].shape, theta.shape[1]))
        rows = []
        for i in range(len(theta)):
            step = np.zeros_like(theta)
            step[i] = STEP
            rows.append((self.whole(theta + step) - self.whole(theta - step)) / (2 * STEP))
        return np.stack(rows, axis=1)


def constrained(law: Law, fix: Mapping[str, float] | None = None, tie: Mapping[str, str] | None = None) -> Law:
    """Return the law with parameters fixed ({"E": 1.6}) and tied ({"alpha": "beta"}: alpha follows beta).

    Raises `UserError` for unknown parameters, parameters constrained twice, or if none is left free.
    """
    _check_mappings(fix, tie)
    fixed, tied = _numbers(fix or {}), dict(tie or {})
    if not fixed and not tied:
        return law
    for name in (*fixed, *tied, *tied.values()):
        if name not in law.params:
            raise UserError(
                f"found no parameter {name!r} in the law {law.name}; it has {listed(law.params)}; name one of them"
            )
    twice = [name for name in tied if name in fixed or tied[name] in tied]
    if twice:
        raise UserError(
            f"found {twice[0]} bound twice; wanted it fixed, or tied to a parameter that is not tied itself"
        )
    free = tuple(name for name in law.params if name not in (*fixed, *tied))
    if not free:
        raise UserError(f"found every parameter of the law {law.name} bound; wanted one that is free")
    return ConstrainedLaw(
        name=law.name,
        params=free,
        inputs=law.inputs,
        formula=law.formula,
        source=law.source,
        bounds={name: law.bounds[name] for name in free},
        exponents={name: of for name, of in law.exponents.items() if name in free},
        default_starts=law.default_starts,
        candidate=law.candidate,
        centred_with=law.centred_with,
        base=law,
        fixed=fixed,
        tied=tied,
    )


def constrained_each(
    laws: Sequence[Law], fix: Mapping[str, float] | None = None, tie: Mapping[str, str] | None = None
) -> tuple[Law, ...]:
    """Return each law with those of the constraints whose parameters it has.

    With several laws, E is the irreducible loss; with one law, it is the parameter that the law calls E. Raises
    `UserError` for a parameter that no law has.
    """
    _check_mappings(fix, tie)
    own = [{name for name in law.params if name != "E" or law.floor or len(laws) == 1} for law in laws]
    fixed, tied = dict(fix or {}), dict(tie or {})
    for name in (*fixed, *tied, *tied.values()):
        if not any(name in names for names in own):
            words, known = listed([law.name for law in laws]), listed(sorted(set().union(*own)))
            raise UserError(f"found no parameter {name!r} in {words}; wanted one of {known}")
    for pair in tied.items():
        if not any(set(pair) <= names for names in own):
            raise UserError(f"found {'='.join(pair)} to tie, and no law with both; wanted two parameters of one law")
    return tuple(
        constrained(
            law,
            {name: value for name, value in fixed.items() if name in names},
            {name: other for name, other in tied.items() if {name, other} <= names},
        )
        for law, names in zip(laws, own, strict=True)
    )


def constraints(laws: Sequence[Law]) -> tuple[str, ...]:
    """Return a sentence for each constrained law that names its fixed and tied parameters."""
    sentences = []
    for law in laws:
        if isinstance(law, ConstrainedLaw):
            fixed = [f"{name} fixed at {value:g}" for name, value in law.fixed.items()]
            tied = [f"{name} = {other}" for name, other in law.tied.items()]
            sentences.append(f"{law.name} has {', '.join([*fixed, *tied])}")
    return tuple(sentences)


def _check_mappings(*given: Any) -> None:
    for bound in given:
        if not isinstance(bound, Mapping | None):
            raise UserError(f'found a {type(bound).__name__}; wanted fix={{"E": 1.6}} or tie={{"alpha": "beta"}}')


def _numbers(fix: Mapping[str, float]) -> dict[str, float]:
    found = {}
    for name, value in fix.items():
        try:
            found[name] = float(value)
        except (TypeError, ValueError):
            found[name] = float("nan")
        if not np.isfinite(found[name]):
            raise UserError(f"found {name} fixed at {value!r}; wanted a number, such as {name}=1.6")
    return found
