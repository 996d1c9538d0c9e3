"""The objective of a fit: a weighted sum of residual losses for one law on given points, with derivatives."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from numbers import Real
from typing import TYPE_CHECKING, Literal

import numpy as np

from analysis.errors import UserError
from analysis.laws.base import Array, Inputs, Law, Units

if TYPE_CHECKING:
    from analysis.fitting.points import Points

UNBOUNDED = 1e300
"""Huber width of least squares."""
SMOOTHED = 0.1
"""Huber width, as a share of the median residual, at which least absolute deviation has a Hessian."""
LAD_DELTA = 1e-4
"""Least absolute deviation is the limit of a Huber loss whose delta shrinks to this share of the median residual."""


SAME = 1e-9
"""Change of fitted values, over that of single parameters, below which a joint change leaves them as they are."""
BEYOND = 10.0
"""Multiple of the inputs at which a joint change must matter."""
VISIBLE = 1e-6
"""Share of a parameter in a joint change from which it is named."""


@dataclass(frozen=True)
class Objective:
    """The loss of residuals: huber with its delta, lad or lsq, on log y or on raw y.

    Values follow Hoffmann et al. 2022: r^2 / 2 inside delta, delta (|r| - delta / 2) outside, |r| for lad, r^2 / 2 for
    lsq, summed over points (an average would stop optimisers early at these deltas).
    """

    name: Literal["huber", "lad", "lsq"] = "huber"
    delta: float = 1e-3
    space: Literal["log", "raw"] = "log"

    def __post_init__(self) -> None:
        if self.name not in ("huber", "lad", "lsq"):
            raise UserError(f"found the objective {self.name!r}; wanted huber, lad or lsq")
        if self.space not in ("log", "raw"):
            raise UserError(f"found the space {self.space!r}; wanted log or raw")
        known = isinstance(self.delta, Real) and not isinstance(self.delta, bool)
        if not (known and np.isfinite(self.delta) and self.delta > 0):
            raise UserError(f"found delta {self.delta!r}; wanted a positive number, such as 1e-3")

    def value(self, residuals: Array, weights: Array) -> Array:
        """Sum over the last axis."""
        if self.name == "lad":
            return (weights * np.abs(residuals)).sum(axis=-1)
        if self.name == "lsq":
            return 0.5 * (weights * residuals**2).sum(axis=-1)
        return huber(np.abs(residuals), weights, np.full(residuals.shape[:-1], self.delta))


def huber(size: Array, weights: Array, delta: Array) -> Array:
    """Sum the weighted Huber losses of absolute residuals over the last axis; delta has the shape of the result."""
    inside = np.minimum(size, delta[..., None])
    loss = inside / 2
    np.subtract(size, loss, out=loss)
    loss *= inside
    return np.einsum("...n,...n->...", weights, loss)


@dataclass(frozen=True)
class Problem:
    """One law on given points: inputs (log, centred) and response (y over its centre, or its logarithm), (n,)."""

    law: Law
    inputs: Inputs
    response: Array
    objective: Objective
    units: Units

    @property
    def n(self) -> int:
        """Number of points."""
        return len(self.response)

    def params(self, theta: Array) -> dict[str, Array]:
        """Return the physical parameters of inner vectors (p, …), without those fixed or tied."""
        return dict(zip(self.law.params, self.law.unscale(theta, self.units), strict=True))

    def starts(self, weights: Array, count: int, rng: np.random.Generator) -> Array:
        """Draw the law's starts (p, count)."""
        log_y = self.response if self.objective.space == "log" else np.log(np.maximum(self.response, 1e-3))
        return self.law.starts(self.inputs, log_y, weights, count, rng)


@dataclass(frozen=True)
class Engine:
    """A solved problem, from which predictions and tests are computed; not part of a fit's JSON.

    theta: the best inner vector (p,); samples: those of the refits (p, R), None without; residuals: (n,) at theta.
    """

    problem: Problem
    points: Points
    theta: Array
    samples: Array | None
    residuals: Array

    @property
    def column(self) -> Array:
        """The best inner vector as (p, 1), which a law evaluates."""
        return self.theta[:, None]

    @property
    def refits(self) -> Array:
        """The inner vectors of the refits (p, R) of a fit that has them."""
        assert self.samples is not None, "a fit without them is refused before"
        return self.samples

    @cached_property
    def slopes(self) -> Array:
        """The law's derivatives (p, n) by its parameters at theta."""
        return jacobian(self.problem, self.theta)


def residuals(problem: Problem, theta: Array) -> Array:
    """Return residuals (B, n) in the objective's space (raw ones over the centre of y)."""
    with np.errstate(all="ignore"):
        h = problem.law.evaluate(theta, problem.inputs).h
        return problem.response - (h if problem.objective.space == "log" else np.exp(h))


def jacobian(problem: Problem, theta: Array) -> Array:
    """Return the derivatives (p, n) of the law by theta (p,), in the objective's space."""
    with np.errstate(all="ignore"):
        evaluation = problem.law.evaluate(theta[:, None], problem.inputs)
        slopes = evaluation.slopes()
        return slopes if problem.objective.space == "log" else slopes * np.exp(evaluation.h[0])


def without_effect(problem: Problem, theta: Array) -> tuple[str, ...]:
    """Name the parameters that change no fitted value, such as the decay of repeats where nothing is repeated."""
    still = (jacobian(problem, theta) == 0).all(axis=1)
    return tuple(name for name, here in zip(problem.law.params, still, strict=True) if here)


def not_told_apart(problem: Problem, theta: Array) -> tuple[str, ...]:
    """Name the parameters of which a joint change moves forecasts, but no fitted value: E, A, alpha of two values of N.

    Then refits stay near where their starts led, and their spread is no interval.
    """
    slopes = jacobian(problem, theta)
    size = np.linalg.norm(slopes, axis=1)
    live = size > 0
    scaled = slopes[live] / size[live][:, None]
    directions, strength, _ = np.linalg.svd(scaled, full_matrices=False)
    joint = directions[:, -1]
    if strength[-1] > SAME * strength[0] or _moved(problem, theta, live, joint / size[live]) < SAME**0.5:
        return ()
    names = np.array(problem.law.params)[live]
    return tuple(str(name) for name, share in zip(names, joint, strict=True) if abs(share) > VISIBLE)


def _moved(problem: Problem, theta: Array, live: Array, joint: Array) -> float:
    """Return by how much a joint change moves the curve (log y) where one of the inputs is beyond the runs."""
    far = {name: np.full(len(problem.inputs), np.median(x)) for name, x in problem.inputs.items()}
    for i, (name, x) in enumerate(problem.inputs.items()):
        far[name][i] = x.max() + np.log(BEYOND)
    with np.errstate(all="ignore"):
        moved = joint @ problem.law.evaluate(theta[:, None], far).slopes()[live]
    return float(np.nanmax(np.abs(moved), initial=0.0))


class State:
    """A problem's law evaluated at a batch of parameter vectors (p, B), with the resulting objective."""

    def __init__(self, problem: Problem, theta: Array, weights: Array, response: Array) -> None:
        self.evaluation = problem.law.evaluate(theta, problem.inputs)
        self.weights = weights
        self.raw = problem.objective.space == "raw"
        # With few residuals inside delta the Hessian is nearly singular; damping then uses the majorising Hessian.
        self.absolute = problem.objective.name == "lad"
        h = self.evaluation.h
        self.f = np.exp(h) if self.raw else None
        self.r = response - self.f if self.f is not None else response - h
        self.size = np.abs(self.r)

    def value(self, delta: Array) -> Array:
        """Return the objective (B,) of each member at its own Huber width; infinite where it is nan."""
        value = huber(self.size, self.weights, delta)
        return np.where(np.isfinite(value), value, np.inf)

    def derivatives(self, delta: Array) -> tuple[Array, Array, Array]:
        """Return the objective's gradient, Hessian and majorising Hessian (that of reweighted least squares)."""
        width = delta[:, None]
        psi = np.clip(self.r, -width, width)
        psi *= self.weights
        second = self.weights * (self.size <= width)
        majorant = np.maximum(self.size, 1e-300)
        np.divide(width, majorant, out=majorant)
        np.minimum(1.0, majorant, out=majorant)
        majorant *= self.weights
        if self.f is not None:
            slope, psi = self.f, psi * self.f
            second, majorant = second * slope**2, majorant * slope**2
        rows = self.evaluation.gradient()
        p, batch = len(rows), len(delta)
        jacobian = np.empty((p, *self.r.shape))
        for i, row in enumerate(rows):
            jacobian[i] = row
        matrix, gram = np.zeros((p, p, batch)), 0.0
        if self.evaluation.curvature is not None:
            matrix, gram = self.evaluation.curvature(-psi)
        if self.f is not None:
            gram += 1.0
        curved = second - gram * psi if gram else second
        gradient, upper = -np.einsum("bn,ibn->ib", psi, jacobian), np.zeros((p, p, batch))
        lower = np.tri(p, dtype=bool)[:, :, None]
        full = np.einsum("ibn,jbn->ijb", curved * jacobian, jacobian)
        matrix += np.where(lower, full, full.swapaxes(0, 1))
        above = majorant * jacobian
        if self.absolute:
            full = np.einsum("ibn,jbn->ijb", above, jacobian)
            upper = np.where(lower, full, full.swapaxes(0, 1))
        else:
            np.einsum("iib->ib", upper)[:] = np.einsum("ibn,ibn->ib", above, jacobian)
        return gradient, matrix, upper


def score_and_hessian(problem: Problem, theta: Array, weights: Array) -> tuple[Array, Array]:
    """Return each point's gradient (p, n) of the objective at theta (p, 1), and the Hessian (p, p)."""
    with np.errstate(all="ignore"):
        state = State(problem, theta, weights[None], problem.response[None])
        name = problem.objective.name
        smoothed = SMOOTHED * np.median(np.abs(state.r))
        width = {"huber": problem.objective.delta, "lad": smoothed, "lsq": UNBOUNDED}[name]
        _, hessian, _ = state.derivatives(np.array([width]))
        psi = weights * np.clip(state.r[0], -width, width) * (1.0 if state.f is None else state.f[0])
        if name == "lad":
            psi, hessian = psi / width, hessian / width
    return -psi * state.evaluation.slopes(), hessian[:, :, 0]
