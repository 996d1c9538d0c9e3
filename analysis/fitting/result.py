"""The result of a fit: parameters, intervals, certificate, predictions and allocations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from numbers import Real
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from analysis.errors import Refusal, UserError
from analysis.fitting.allocation import Allocation, Optimum, log_loss, optimal_n
from analysis.fitting.certificate import Certificate
from analysis.fitting.display.shown import Shown
from analysis.fitting.intervals import percentile
from analysis.fitting.objective import Engine
from analysis.fitting.verdict.drift import excess_of, with_drifted_optimum, with_drifts
from analysis.laws.base import Array
from analysis.numbers import number

if TYPE_CHECKING:
    import pandas as pd

    from analysis.fitting.seeds import LackOfFit

LEAST = 1e-200
"""Least optimal N and loss of a degenerate refit, which gives 0."""


@dataclass(frozen=True)
class Minimised:
    """The objective and its value at the fit (a sum over points)."""

    name: str
    space: str
    delta: float
    value: float


@dataclass(frozen=True)
class Reach:
    """The x at which a law reaches a response, its interval, and the share of refits that never reach it."""

    y: float
    x: float
    interval: tuple[float, float] | None
    never: float | None


@dataclass(frozen=True, repr=False)
class Fit(Shown):
    """A fitted law with its intervals and its certificate. `Shown` has its displays."""

    law: str
    y: str
    params: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    level: float
    objective: Minimised
    n_points: int
    n_runs: int
    certificate: Certificate
    allocation: Allocation | None
    lack_of_fit: LackOfFit | None
    warnings: tuple[str, ...]
    card: dict[str, Any]
    engine: Engine = field(repr=False, compare=False)

    def predict(self, at: Mapping[str, Any] | pd.DataFrame) -> Array:
        """Return the law's value (m,) at inputs keyed by the table's columns, such as {"N": [1e6], "D": [1e9]}."""
        return np.exp(self._log_curve(self._inputs(at), self.engine.column)[0])

    def interval(
        self, at: Mapping[str, Any] | pd.DataFrame, *, kind: Literal["mean", "run"] = "mean"
    ) -> tuple[Array, Array]:
        """Return (low, high): percentiles of the curve, or of the response of a new run (kind="run").

        Includes slow drifts and bends that the runs do not exclude (see `verdict.drift`), beyond the spread of refits.
        """
        if kind not in ("mean", "run"):
            raise UserError(f"found kind={kind!r}; wanted mean or run")
        inputs = self._inputs(at)
        curves = self._spread(inputs)
        samples = [curves, self._drifted(curves, inputs)]
        if kind == "run":  # with those of the mean, as the ends of few refits with noise may lie inside
            samples += [self._with_noise(one) for one in samples]
        ends = np.stack([percentile(one, self.level) for one in samples])
        return np.exp(ends[:, :, 0].min(axis=0)), np.exp(ends[:, :, 1].max(axis=0))

    def refits(self, at: Mapping[str, Any] | pd.DataFrame) -> Array:
        """Return the curves of the refits (m, R) at inputs keyed as in `predict`."""
        return np.exp(self._log_curve(self._inputs(at), self._samples()).T)

    def drifted_refits(self, at: Mapping[str, Any] | pd.DataFrame) -> Array:
        """Return the refits' curves (m, R) with random drifts and bends that the runs do not exclude."""
        inputs = self._inputs(at)
        return np.exp(self._drifted(self._spread(inputs), inputs))

    def allocate(self, C: float) -> Optimum:
        """Return the optimal N and D for C FLOPs, with intervals. Raises `Refusal` for laws that are not in N and D.

        The intervals include drifts and bends that the runs do not exclude, as those of `interval`.
        """
        if not (isinstance(C, Real) and np.isfinite(C) and C > 0):
            raise UserError(f"found C={C!r}; wanted a positive number of FLOPs")
        if self.allocation is None:
            raise Refusal(f"the law {self.law} does not say how to share C between N and D; fit a law in N and D")
        product = C / self.allocation.flops_per_nd
        both = self.split(np.array([C, 2 * C]))
        if not np.isfinite(both).all():
            raise Refusal(
                f"the fitted law {self.law} has no optimal N near the runs at C = {number(C)}; choose a nearer C"
            )
        losses = [float(self._loss_at(self.engine.column, *pair)[0]) for pair in zip(*both, strict=True)]
        N, D = (values[0] for values in both)
        batch = self._best_batch(N, D)
        best = Optimum(C, float(N), float(D), losses[0], losses[1], warnings=self._beyond(N, D), batch=batch)
        if self.engine.samples is None:
            return best
        refits = self.optimal_refits(C)
        widened = self._widened(refits, np.log([[best.N], [best.loss]]))
        drifted = with_drifted_optimum(widened, self.engine, (best.N, best.D), seed=self.card["seed"])
        ends = np.stack([percentile(one, self.level) for one in (refits, drifted)])
        ends = np.stack([ends[:, :, 0].min(axis=0), ends[:, :, 1].max(axis=0)], axis=1)
        with np.errstate(over="ignore"):
            sizes, losses = np.exp(np.maximum(ends, np.log(LEAST))).tolist()
        return replace(
            best,
            N_interval=(sizes[0], sizes[1]),
            D_interval=(float(product / sizes[1]), float(product / sizes[0])),
            loss_interval=(losses[0], losses[1]),
        )

    def optimal_refits(self, C: float) -> Array:
        """Return the log of the optimal N for C FLOPs, and of the loss there, of each refit (2, R)."""
        assert self.allocation is not None
        product, samples = C / self.allocation.flops_per_nd, self._samples()
        N = np.clip(self._optimal_n(samples, product), LEAST, 1 / LEAST)
        return np.log(np.stack([N, self._loss_at(samples, N, product / N)]))

    def split(self, C: Array) -> tuple[Array, Array]:
        """Return the optimal N and D at each C (FLOPs), for laws that have an allocation."""
        assert self.allocation is not None
        product = C / self.allocation.flops_per_nd
        N = self._optimal_n(self.engine.column, product)
        return N, product / N

    def reach(self, y: float) -> Reach:
        """Return the x at which a one-variable law reaches y, with its interval (nan: never). Raises `Refusal`."""
        law = self.engine.problem.law
        target = np.array([float(y)])
        x = law.inverse(self.params_of(self.engine.column), target)
        if x is None:
            raise Refusal(f"the law {self.law} has no closed inverse; forecast over a range of sizes instead")
        if self.engine.samples is None:
            return Reach(y, float(x[0]), None, None)
        found = law.inverse(self.params_of(self.engine.samples), target)
        assert found is not None
        never = float(np.mean(~np.isfinite(found)))
        ends = percentile(np.where(np.isfinite(found), found, np.finfo(float).max)[None], self.level)[0]
        return Reach(y, float(x[0]), (float(ends[0]), float(ends[1])), never)

    def exponents(self, at: Mapping[str, Any] | pd.DataFrame) -> dict[str, Array]:
        """Return d log y / d log input at the given settings, for each input: the (negative) local exponents."""
        inputs, law = self._inputs(at), self.engine.problem.law
        columns = self.engine.points.columns
        with np.errstate(all="ignore"):
            return {columns[name]: law.elasticity(self.engine.column, inputs, name)[0] for name in inputs}

    def params_of(self, theta: Array) -> dict[str, Array]:
        """Return the physical parameters of inner vectors (p, R)."""
        return self.engine.problem.law.complete(self.engine.problem.params(theta))

    def _samples(self) -> Array:
        if self.certificate.no_interval:
            raise Refusal(f"found {self.certificate.no_interval}, or take --resamples 0 for values alone")
        if self.engine.samples is None:
            raise UserError("found a fit without refits; wanted some for an interval; take --resamples 1000")
        return self.engine.samples

    def _inputs(self, at: Mapping[str, Any] | pd.DataFrame) -> dict[str, Array]:
        """Return the law's inputs as centred logarithms (m,)."""
        columns, units = self.engine.points.columns, self.engine.problem.units
        convert = getattr(at, "to_pandas", None)  # of a table of pyarrow or polars
        at = convert() if convert else at
        if not hasattr(at, "keys"):
            wanted = ", ".join(f'"{column}": …' for column in columns.values())
            raise UserError(f"found a {type(at).__name__}; wanted {{{wanted}}}, or a DataFrame with these columns")
        missing = [column for column in columns.values() if column not in at]
        if missing:
            raise UserError(
                f"found no {missing[0]!r} among {', '.join(map(str, at))}; the fit needs {', '.join(columns.values())}"
            )
        try:
            values = {name: _floats(at[column]) for name, column in columns.items()}
        except (TypeError, ValueError):
            raise UserError(
                f"found {', '.join(columns.values())} that are no numbers; wanted positive numbers"
            ) from None
        for name, value in values.items():
            if not (np.isfinite(value).all() and (value > 0).all()):
                raise UserError(f"found {columns[name]} that is not a positive number; wanted positive numbers")
        if any(value.ndim > 1 for value in values.values()):
            raise UserError(
                "found arrays of several dimensions; wanted lists of numbers; ravel them, and reshape the result"
            )
        try:
            shape = np.broadcast_shapes(*(value.shape for value in values.values()))
        except ValueError:
            found = ", ".join(f"{len(value)} of {columns[name]}" for name, value in values.items())
            raise UserError(f"found {found}; wanted as many of each, or one") from None
        return {name: np.broadcast_to(np.log(value), shape) - units.log_inputs[name] for name, value in values.items()}

    def _log_curve(self, inputs: dict[str, Array], theta: Array) -> Array:
        with np.errstate(all="ignore"):
            return self.engine.problem.law.evaluate(theta, inputs).h + self.engine.problem.units.log_y

    def _spread(self, inputs: dict[str, Array]) -> Array:
        """Return the refits' log curves (m, R), farther from the fit where its error is smooth (see `excess_of`)."""
        curves = self._log_curve(inputs, self._samples()).T
        return self._widened(curves, self._log_curve(inputs, self.engine.column).T)

    def _widened(self, refits: Array, middle: Array) -> Array:
        """Spread values of the refits (m, R) about those of the fit (m, 1) where its error is smooth."""
        excess = excess_of(self.engine)
        return refits if excess == 1 else middle + excess * (refits - middle)

    def _with_noise(self, curves: Array) -> Array:
        """Add a random residual, scaled for the degrees of freedom, to each refit's log curve (m, R)."""
        rest = self.engine.residuals * np.sqrt(self.n_points / max(1, self.n_points - len(self.engine.theta)))
        rng = np.random.default_rng(self.card["seed"])
        noise = rng.choice(rest, size=curves.shape)
        if self.engine.problem.objective.space == "log":
            return curves + noise
        scale = np.exp(self.engine.problem.units.log_y)
        return np.log(np.maximum(np.exp(curves) + noise * scale, 1e-300))

    def _drifted(self, curves: Array, inputs: dict[str, Array]) -> Array:
        """Add random drifts and bends to the refits' log curves (m, R) at inputs (m,)."""
        return with_drifts(curves, self.engine, inputs, seed=self.card["seed"])

    def _optimal_n(self, theta: Array, product: float | Array) -> Array:
        return optimal_n(self.engine.problem, theta, np.asarray(product))

    def _loss_at(self, theta: Array, N: Array, D: Array) -> Array:
        """Return the loss of each inner vector (p, R) at its own N and D (R,)."""
        sizes = (np.log(np.atleast_1d(x))[:, None] for x in (N, D))
        return np.exp(log_loss(self.engine.problem, theta, *sizes)[:, 0])

    def _best_batch(self, N: float, D: float) -> float | None:
        """Return the optimal batch size; None for a law without one."""
        theta, size = self.engine.column, (np.log(np.array([[x]])) for x in (N, D))
        batch = self.engine.problem.law.others(self.params_of(theta), *size).get("batch")
        return None if batch is None else float(np.exp(batch[0, 0]))

    def _beyond(self, N: float, D: float) -> tuple[str, ...]:
        warnings = []
        for name, value in (("N", N), ("D", D)):
            largest = float(self.engine.points.inputs[name].max())
            if value > largest:
                warnings.append(f"the optimal {name} is {number(value / largest, 3)} times the largest run's")
        return tuple(warnings)


def _floats(values: Any) -> Array:
    """Return numbers as a float array (m,), NaN where masked."""
    return np.atleast_1d(np.ma.filled(np.ma.asarray(values, dtype=float), np.nan))
