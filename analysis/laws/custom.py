"""A user-defined law: names, bounds and a function."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import numpy as np

from analysis.errors import UserError
from analysis.laws.base import Array, Bound, Evaluation, Inputs, Law, Units, between, differenced, spread
from analysis.wording import listed

PROBED = (2.0, 3.0, 5.0)
"""Values of each input at which a user's functions are checked."""
MISTAKES = (NameError, AttributeError, TypeError, ValueError, LookupError, ArithmeticError)
"""Exceptions raised by mistakes in a user's function."""


def _one_line(error: Exception) -> str:
    """Return an error's message in one line, without class names that a user does not know."""
    name = getattr(error, "name", None)
    if isinstance(error, AttributeError) and isinstance(getattr(error, "obj", None), SimpleNamespace):
        return f"there is no {name!r}"
    return " ".join(str(error).split())[:200]


@dataclass(frozen=True)
class CustomLaw(Law):
    """A law given by a function, in physical units.

    value: value(p, x) with p.NAME and x.NAME, which broadcast to the shape of the result. slopes: slopes(p, x) returns
    the derivative by each parameter in order; by default central differences are used. Parameters with a positive lower
    limit are drawn and represented as logarithms.
    """

    limits: tuple[tuple[float, float], ...] = ()
    value: Callable[[Any, Any], Any] = field(default=lambda p, x: np.nan)
    slopes: Callable[[Any, Any], Any] | None = None
    units: Units | None = None

    def bind(self, units: Units) -> CustomLaw:
        """Store the units that convert inputs for the function."""
        return replace(self, units=units)

    @property
    def logs(self) -> Array:
        """Return a mask of the parameters that are represented as logarithms."""
        return np.array([low > 0 for low, _ in self.limits])

    def evaluate(self, theta: Array, inputs: Inputs) -> Evaluation:
        """Return log f and its derivatives."""
        assert self.units is not None
        centre = self.units
        x = SimpleNamespace(**{name: np.exp(values + centre.log_inputs[name]) for name, values in inputs.items()})
        shape = np.broadcast_shapes((theta.shape[1], 1), *(values.shape for values in inputs.values()))

        def log_value(at: Array) -> Array:
            f = self.called(self.value, self._physical(at), x, shape)
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

    def called(self, function: Callable[[Any, Any], Any], p: Any, x: Any, shape: tuple[int, ...]) -> Array:
        """Call the user's function; raise `UserError` where it fails or returns an invalid value."""
        own = SimpleNamespace(**{name: _read_only(values) for name, values in vars(x).items()})
        try:
            found = function(p, own)
            if found is None:
                raise TypeError("it returns nothing")
            return np.broadcast_to(np.asarray(found, dtype=float), shape)
        except MISTAKES as error:
            raise UserError(
                f"the function of the law {self.name} fails: {type(error).__name__}: {_one_line(error)}; it may use "
                f"{listed([f'p.{name}' for name in self.params])} and {listed([f'x.{name}' for name in self.inputs])}, "
                "and returns numbers in their shape"
            ) from error

    def __getstate__(self) -> dict[str, Any]:
        """Return the pickled state, with functions by value so that lambdas can be pickled."""
        import cloudpickle

        functions = {name: getattr(self, name) for name in ("value", "slopes")}
        return {**self.__dict__, **{name: cloudpickle.dumps(function) for name, function in functions.items()}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore the pickled state."""
        functions = {name: pickle.loads(state[name]) for name in ("value", "slopes")}
        self.__dict__.update({**state, **functions})

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
        """Draw each parameter between its limits, log-uniformly where they are positive."""
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
    inputs: Sequence[str] | str,
    slopes: Callable[[Any, Any], Any] | None = None,
    formula: str = "",
    exponents: Mapping[str, str] | None = None,
) -> CustomLaw:
    """Make a law from a function.

    For instance own_law("mine", lambda p, x: p.E + p.A * x.N ** -p.alpha, params={"E": (0, 5), …}, inputs=("N",)).
    value: the function of the parameters p and the inputs x, in physical units. params: bounds of each parameter,
    between which starts are drawn. slopes: the derivative by each parameter, in order (default: finite differences).
    formula, and exponents such as {"alpha": "N"} (each with its variable), are for figures and tables. Raises
    `UserError` for bad bounds, and where a function fails, or slopes are not the derivatives, in the middle of the
    bounds.
    """
    limits = {param: _limits(param, ends) for param, ends in params.items()} if isinstance(params, Mapping) else {}
    columns = (inputs,) if isinstance(inputs, str) else tuple(inputs)
    if not limits or not columns or len(set(columns)) < len(columns) or not callable(value):
        raise UserError(
            f"found the law {name!r} with params {params!r}, inputs {inputs!r} and the value {value!r}; wanted a "
            'function value(p, x), params={"E": (0, 5)}, and inputs=("N",)'
        )
    if not isinstance(exponents, Mapping | None):
        raise UserError(f'found exponents={exponents!r}; wanted the variable of each, such as {{"alpha": "N"}}')
    unknown = [param for param in exponents or {} if param not in limits]
    if unknown:
        raise UserError(f"found the exponent {unknown[0]!r} of the law {name!r}; wanted one of {listed(list(limits))}")
    bounds = {
        param: Bound(float(np.log(low)), float(np.log(high))) if low > 0 else Bound(low, high)
        for param, (low, high) in limits.items()
    }
    law = CustomLaw(
        name=str(name),
        params=tuple(limits),
        inputs=columns,
        formula=formula or f"{name}({', '.join(columns)})",
        source="given by the user",
        bounds=bounds,
        exponents=dict(exponents or {}),
        limits=tuple(limits.values()),
        value=value,
        slopes=slopes,
    )
    with np.errstate(all="ignore"):
        _check_functions(law)
    return law


def _check_functions(law: CustomLaw) -> None:
    """Raise `UserError` unless the value is valid inside the limits and the slopes are its derivatives."""
    x = SimpleNamespace(**dict.fromkeys(law.inputs, np.array(PROBED)))
    inside = {
        name: np.array([[low + 0.5 * (high - low)], [low + 0.3 * (high - low)]])
        for name, (low, high) in zip(law.params, law.limits, strict=True)
    }

    def value(**moved: Array) -> Array:
        return law.called(law.value, SimpleNamespace(**{**inside, **moved}), x, (2, len(PROBED)))

    middle = value()
    _check_pointwise(law, inside, middle)
    if law.slopes is None:
        return
    try:
        rows = [np.broadcast_to(row, (2, len(PROBED))) for row in law.slopes(SimpleNamespace(**inside), x)]
    except MISTAKES as error:
        raise UserError(f"the slopes of the law {law.name} fail: {type(error).__name__}: {_one_line(error)}") from error
    wanted = f"wanted the derivative by each of {listed(law.params)}, in this order; mend them, or leave slopes out"
    if len(rows) != len(law.params):
        raise UserError(f"found {len(rows)} slopes of the law {law.name}; {wanted}")
    for row, (name, (low, high)) in zip(rows, zip(law.params, law.limits, strict=True), strict=True):
        step = 1e-5 * (high - low)
        own = (value(**{name: inside[name] + step}) - value(**{name: inside[name] - step})) / (2 * step)
        rounding = 1e-15 * np.abs(middle) / step  # a term far below the others leaves their sum as it is
        allowed = 1e-3 * np.abs(own) + 1e-6 * np.abs(own[np.isfinite(own)]).max(initial=0) + rounding
        wrong = np.argwhere(np.isfinite(own) & ~(np.abs(row - own) <= allowed))
        if len(wrong):
            i, j = wrong[0]
            raise UserError(
                f"found the slope {row[i, j]:.4g} of the law {law.name} by {name}, where its value has "
                f"{own[i, j]:.4g}; {wanted}"
            )


def _check_pointwise(law: CustomLaw, inside: Mapping[str, Array], middle: Array) -> None:
    """Raise `UserError` unless the value is the same at each call, and at each setting alone."""
    p = SimpleNamespace(**inside)
    for i, only in [(slice(None), PROBED), *((slice(i, i + 1), (one,)) for i, one in enumerate(PROBED))]:
        x = SimpleNamespace(**dict.fromkeys(law.inputs, np.array(only)))
        if not np.allclose(law.called(law.value, p, x, (2, len(only))), middle[:, i], equal_nan=True):
            what = "differs from call to call" if len(only) > 1 else "at one setting depends on the others"
            raise UserError(
                f"found that the value of the law {law.name} {what}; wanted a function of p and of each setting alone; "
                "give what is common to all, such as their largest N, as a number"
            )


def _read_only(values: Array) -> Array:
    """Return an array that a user's function cannot change."""
    view = values.view()
    view.flags.writeable = False
    return view


def _limits(param: str, ends: Any) -> tuple[float, float]:
    """Return the limits of a parameter as two numbers."""
    try:
        low, high = map(float, ends)
    except (TypeError, ValueError):
        low = high = float("nan")
    if not (np.isfinite(low) and np.isfinite(high) and low < high):
        raise UserError(f"found the limits {ends!r} of {param}; wanted two finite numbers, the lower first")
    return low, high
