"""A law of the user's own: names, bounds and a function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import numpy as np

from analysis.errors import UserError
from analysis.laws.base import Array, Bound, Evaluation, Inputs, Law, Units, between, differenced, spread


@dataclass(frozen=True)
class CustomLaw(Law):
    """A law given by a function, in physical units.

    value: value(p, x) with p.NAME and x.NAME, which broadcast to the shape of the result. slopes: slopes(p, x) returns
    the derivative by each parameter in order; without it they are taken by central differences. Parameters whose lower
    limit is positive are drawn and carried as logarithms.
    """

    limits: tuple[tuple[float, float], ...] = ()
    value: Callable[[Any, Any], Any] = field(default=lambda p, x: np.nan)
    slopes: Callable[[Any, Any], Any] | None = None
    units: Units | None = None

    def bind(self, units: Units) -> CustomLaw:
        """Remember the units, in which the function has to be called."""
        return replace(self, units=units)

    @property
    def logs(self) -> Array:
        """Return a mask of the parameters that are carried as logarithms."""
        return np.array([low > 0 for low, _ in self.limits])

    def evaluate(self, theta: Array, inputs: Inputs) -> Evaluation:
        """Return log f and its derivatives."""
        assert self.units is not None
        centre = self.units
        x = SimpleNamespace(**{name: np.exp(values + centre.log_inputs[name]) for name, values in inputs.items()})
        shape = np.broadcast_shapes((theta.shape[1], 1), *(values.shape for values in inputs.values()))

        def log_value(at: Array) -> Array:
            f = np.broadcast_to(np.asarray(self.value(self._physical(at), x), dtype=float), shape)
            return np.log(np.where(f > 0, f, np.nan)) - centre.log_y

        h = log_value(theta)

        def gradient() -> list[Array]:
            if self.slopes is not None:
                f = np.exp(h + centre.log_y)
                by_log = np.where(self.logs[:, None], self._outer(theta), 1.0)
                rows = self.slopes(self._physical(theta), x)
                return [np.broadcast_to(np.asarray(row), shape) * by_log[i][:, None] / f for i, row in enumerate(rows)]
            out = []
            for i in range(len(theta)):
                step = 6e-6 * np.maximum(1.0, np.abs(theta[i]))
                moved = np.eye(len(theta))[i][:, None] * step
                out.append((log_value(theta + moved) - log_value(theta - moved)) / (2 * step[:, None]))
            return out

        return Evaluation(h, gradient, (lambda v: differenced(self, theta, inputs, v)) if self.slopes else None)

    def scale(self, params: Mapping[str, Any], units: Units) -> Array:
        """Turn physical parameters into the inner vector."""
        values = np.stack([np.asarray(params[name], dtype=float) for name in self.params])
        out = values.copy()
        out[self.logs] = np.log(values[self.logs])
        return out

    def unscale(self, theta: Array, units: Units) -> Array:
        """Turn inner vectors into physical parameters."""
        return self._outer(theta)

    def starts(self, inputs: Inputs, log_y: Array, weights: Array, count: int, rng: np.random.Generator) -> Array:
        """Draw each parameter over its limits, evenly in the logarithm where they are positive."""
        u = spread(count, len(self.params), rng)
        rows = []
        for (low, high), log, row in zip(self.limits, self.logs, u, strict=True):
            rows.append(np.log(between(row, low, high)) if log else low + row * (high - low))
        return np.stack(rows)

    def _outer(self, theta: Array) -> Array:
        out = theta.copy()
        out[self.logs] = np.exp(theta[self.logs])
        return out

    def _physical(self, theta: Array) -> SimpleNamespace:
        return SimpleNamespace(
            **{name: row[:, None] for name, row in zip(self.params, self._outer(theta), strict=True)}
        )


def own_law(
    name: str,
    value: Callable[[Any, Any], Any],
    *,
    params: Mapping[str, tuple[float, float]],
    inputs: tuple[str, ...],
    slopes: Callable[[Any, Any], Any] | None = None,
    formula: str = "",
    exponents: Mapping[str, str] | None = None,
) -> CustomLaw:
    """Make a law from a function: own_law("mine", lambda p, x: p.E + p.A * x.N ** -p.alpha, params={"E": (0, 5), ...},
    inputs=("N",)). The limits of each parameter are in physical units; starts are drawn between them. formula and
    exponents ({"alpha": "N"}: a parameter, and the variable it is an exponent of) are for figures and tables."""
    for param, (low, high) in params.items():
        if not (np.isfinite(low) and np.isfinite(high) and low < high):
            raise UserError(f"found the limits ({low}, {high}) of {param}; wanted two finite numbers, the lower first")
    logs = {param: low > 0 for param, (low, _) in params.items()}
    bounds = {
        param: Bound(float(np.log(low)), float(np.log(high))) if logs[param] else Bound(low, high)
        for param, (low, high) in params.items()
    }
    return CustomLaw(
        name=name,
        params=tuple(params),
        inputs=tuple(inputs),
        formula=formula or name,
        source="given by the user",
        bounds=bounds,
        exponents=exponents or {},
        limits=tuple(params.values()),
        value=value,
        slopes=slopes,
    )
