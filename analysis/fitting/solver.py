"""Minimise one law's objective from many starts, or over many resamples, as one batch.

Takes damped Newton steps (Levenberg-Marquardt scaling, bounds by active set) in scale-free parameters. The Huber width
is annealed from the scale of the residuals to delta, which keeps starts out of the flat regions of a small delta and
follows a continuous path (Madsen and Nielsen 1993 for least absolute deviation). Uses no LAPACK and no BLAS reduction
over points, so the digits are the same on any number of cores.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.fitting.objective import LAD_DELTA, UNBOUNDED, Problem, State
from analysis.laws.base import Array

KEPT_BYTES = 2**24
"""Memory that the allocator is made to keep instead of returning it to the system at every step."""
CHUNK_VALUES = 60_000
"""Numbers in one (batch x points) array: small enough to stay in the processor's cache."""
MAX_STEPS = 300
"""Newton steps after which a start counts as not converged."""
ANNEAL = 0.2
"""Factor by which the Huber width shrinks from stage to stage."""
STAGE_GAIN, STAGE_STEPS = 0.02, 6
"""A stage ends with the first step that lowers the objective by less than this share, or after so many steps."""
ACCEPTED, GOOD = 1e-4, 0.7
"""Shares of the predicted decrease from which a step is taken, and from which the damping is lowered."""
LOWER, RAISE = 0.1, 6.0
"""Factors of the damping after a good step and after one that is not taken."""
STUCK = 1e13
"""Damping at which no step lowers the objective: the start has ended."""
DECREMENT = 1e-15
"""A start has converged when the predicted decrease is below this share of the objective."""
SAME = 1e-9
"""Relative difference of the objective within which two converged starts count as the same optimum."""
LAD_DECREMENT = 1e-11
"""The same for least absolute deviation, whose optimum is a corner that `_to_corner` finds exactly."""


@dataclass(frozen=True)
class Solution:
    """The final state of each batch member: parameters (p, B), objective, projected gradient norm, convergence."""

    theta: Array
    value: Array
    gradient_norm: Array
    converged: Array


def solve(
    problem: Problem,
    starts: Array,
    *,
    weights: Array | None = None,
    response: Array | None = None,
    anneal: bool = True,
    majority: bool = False,
    steps: int | None = None,
) -> Solution:
    """Minimise from each column of starts (p, B). weights, response: (n,), or (B, n) with one row per member.

    majority: stop when more than half of the starts have converged to the lowest optimum. The rest, and members that
    exceed the maximum number of steps, are marked as not converged.
    """
    # glibc returns freed arrays to the system, and mapping new pages costs a third of a fit, until a larger array was
    # freed. The pages of this one are never touched.
    np.empty(KEPT_BYTES, dtype=np.uint8)
    count = starts.shape[1]
    size = max(1, CHUNK_VALUES // problem.n)
    w = np.broadcast_to(np.ones(problem.n) if weights is None else weights, (count, problem.n))
    y = np.broadcast_to(problem.response if response is None else response, (count, problem.n))
    pieces = [slice(i, min(i + size, count)) for i in range(0, count, size)]
    batches = (_Batch(problem, starts[:, piece], w[piece], y[piece], anneal) for piece in pieces)
    done = [batch.run(majority=majority, steps=steps) for batch in batches]
    return Solution(
        np.concatenate([part.theta for part in done], axis=1),
        *(np.concatenate([getattr(part, name) for part in done]) for name in ("value", "gradient_norm", "converged")),
    )


class _Batch:
    """The members of one chunk that have not yet converged."""

    def __init__(self, problem: Problem, starts: Array, weights: Array, response: Array, anneal: bool) -> None:
        self.problem = problem
        low, high = problem.law.box()
        self.low, self.high = low[:, None], high[:, None]
        self.weights, self.response = weights, response
        self.theta = np.clip(starts, self.low, self.high)
        self.batch = starts.shape[1]
        self.member = np.arange(self.batch)
        self.annealing = anneal
        value, norm = np.full((2, self.batch), np.inf)
        self.result = Solution(np.empty_like(self.theta), value, norm, np.zeros(self.batch, dtype=bool))

    def run(self, *, majority: bool = False, steps: int | None = None) -> Solution:
        with np.errstate(all="ignore"):
            self._begin()
            for _ in range(MAX_STEPS if steps is None else steps):
                self._step()
                if not len(self.member) or (majority and self._agreed()):
                    break
            self._retire(np.ones(len(self.member), dtype=bool), converged=False)
        return self.result

    def _agreed(self) -> bool:
        """Tell whether more than half of the members have converged to the lowest optimum."""
        if 2 * len(self.member) >= self.batch:
            return False
        value = self.result.value
        there = value <= value.min() * (1 + SAME) + 1e-32
        return 2 * int((there & self.result.converged).sum()) > self.batch

    def _begin(self) -> None:
        state = State(self.problem, self.theta, self.weights, self.response)
        scale = np.median(np.abs(state.r), axis=1)
        scale = np.where(np.isfinite(scale), np.maximum(scale, 1e-14), 1.0)
        objective = self.problem.objective
        self.tolerance = LAD_DECREMENT if objective.name == "lad" else DECREMENT
        self.target = {
            "huber": np.full(self.batch, objective.delta),
            "lad": np.maximum(LAD_DELTA * np.minimum(scale, 1e-1), 1e-13),
            "lsq": np.full(self.batch, UNBOUNDED),
        }[objective.name]
        self.delta = np.maximum(self.target, 3 * scale) if self.annealing else self.target.copy()
        self.damping = np.full(self.batch, 1e-3 if self.annealing else 1e-6)
        self.in_stage = np.zeros(self.batch, dtype=int)
        self.value = state.value(self.delta)
        self.gradient, self.hessian, self.majorant = state.derivatives(self.delta)

    def _step(self) -> None:
        step, ok = self._direction()
        decrement = -(self.gradient * step).sum(axis=0)
        trial = (self.theta + step).clip(self.low, self.high)
        step = trial - self.theta
        slope = (self.gradient * step).sum(axis=0)
        predicted = -(slope + 0.5 * np.einsum("ib,ijb,jb->b", step, self.hessian, step))
        state = State(self.problem, trial, self.weights, self.response)
        value = state.value(self.delta)
        gain = self.value - value
        tiny = ok & (decrement <= self.tolerance * self.value + 1e-32) & (self.damping <= 1.0)
        taken = (gain > 0) & ok & (gain >= ACCEPTED * predicted)
        good = gain > GOOD * predicted
        self.damping = np.where(taken, np.where(good, self.damping * LOWER, self.damping), self.damping * RAISE)
        self.damping = self.damping.clip(1e-14, 1e16)
        finished, fresh = tiny | (~taken & (self.damping >= STUCK)), taken
        self.theta = trial if taken.all() else np.where(taken, trial, self.theta)
        if self.annealing:
            coarse = self.delta > self.target
            self.annealing = bool(coarse.any())
            self.in_stage += 1
            next_stage = coarse & ((taken & (gain < STAGE_GAIN * self.value)) | tiny | (self.in_stage >= STAGE_STEPS))
            finished, fresh = finished & ~coarse, taken | next_stage
            if next_stage.any():
                # A new width changes the objective, so everything is recomputed at the member's current position.
                self.delta = np.where(next_stage, np.maximum(self.target, self.delta * self._factor()), self.delta)
                self.damping = np.where(next_stage, np.minimum(self.damping, 1e-2), self.damping)
                self.in_stage[next_stage] = 0
                if (next_stage & ~taken).any():
                    state = State(self.problem, self.theta, self.weights, self.response)
                value = state.value(self.delta)
        if fresh.any():
            every = fresh.all()
            new = (value, *state.derivatives(self.delta))
            for name, values in zip(("value", "gradient", "hessian", "majorant"), new, strict=True):
                setattr(self, name, values if every else np.where(fresh, values, getattr(self, name)))
        self._retire(finished, converged=True)

    def _factor(self) -> Array:
        """Return the factor of the next Huber width; a width that an overflow made needs one stage alone."""
        return np.where(self.delta > 1e100, 1e-200, ANNEAL)

    def _direction(self) -> tuple[Array, Array]:
        """Return the damped Newton step of the free parameters; False where the damped Hessian is indefinite."""
        matrix = self.hessian + self.damping * self.majorant
        diagonal = np.einsum("iib->ib", self.majorant)
        on_diagonal = np.einsum("iib->ib", matrix)
        on_diagonal += self.damping * (1e-3 * diagonal + 1e-10 * diagonal.max(axis=0) + 1e-30)
        low, high = self.theta <= self.low, self.theta >= self.high
        if not (low.any() or high.any()):
            return solve_positive(matrix, -self.gradient)
        fixed = (low & (self.gradient > 0)) | (high & (self.gradient < 0))
        free = ~fixed
        matrix *= free[:, None] & free[None, :]
        on_diagonal += fixed
        return solve_positive(matrix, np.where(fixed, 0.0, -self.gradient))

    def _to_corner(self, theta: Array, weights: Array, response: Array) -> Array:
        """Move members to the exact interpolation of their p nearest points, where that lowers the objective."""
        p, here = len(theta), theta
        rest = np.abs(State(self.problem, theta, weights, response).r)
        nearest = np.argsort(np.where(weights > 0, rest, np.inf), axis=1, kind="stable")[:, :p]
        before = (weights * rest).sum(axis=1)
        for _ in range(8):
            state = State(self.problem, here, weights, response)
            scale = 1.0 if state.f is None else np.take_along_axis(state.f, nearest, axis=1)
            rows = state.evaluation.gradient()
            slopes = np.stack(
                [np.take_along_axis(np.broadcast_to(row, rest.shape), nearest, axis=1) * scale for row in rows]
            )
            right = np.einsum("ibk,bk->ib", slopes, np.take_along_axis(state.r, nearest, axis=1))
            step, ok = solve_positive(np.einsum("ibk,jbk->ijb", slopes, slopes), right)
            here = np.clip(here + np.where(ok, step, 0.0), self.low, self.high)
        after = (weights * np.abs(State(self.problem, here, weights, response).r)).sum(axis=1)
        return np.where(after < before, here, theta)

    def _retire(self, finished: Array, *, converged: bool) -> None:
        """Record the finished members and remove them from the batch."""
        if not finished.any():
            return
        where = self.member[finished]
        theta = self.theta[:, finished]
        if self.problem.objective.name == "lad":
            theta = self._to_corner(theta, self.weights[finished], self.response[finished])
        at_low, at_high = theta <= self.low, theta >= self.high
        gradient = self.gradient[:, finished]
        free = np.where((at_low & (gradient > 0)) | (at_high & (gradient < 0)), 0.0, gradient)
        state = State(self.problem, theta, self.weights[finished], self.response[finished])
        value = self.problem.objective.value(state.r, state.weights)
        self.result.theta[:, where] = theta
        self.result.value[where] = np.where(np.isfinite(value), value, np.inf)
        self.result.gradient_norm[where] = np.abs(free).max(axis=0)
        self.result.converged[where] = converged
        keep = ~finished
        self.member, self.weights, self.response = self.member[keep], self.weights[keep], self.response[keep]
        self.theta, self.gradient = self.theta[:, keep], self.gradient[:, keep]
        self.hessian, self.majorant = self.hessian[:, :, keep], self.majorant[:, :, keep]
        for name in ("value", "delta", "target", "damping", "in_stage"):
            setattr(self, name, getattr(self, name)[keep])


def solve_positive(matrix: Array, right: Array) -> tuple[Array, Array]:
    """Solve symmetric systems (p, p, B) x = (p, B) by batched Cholesky; False where not positive definite."""
    p = len(right)
    root = np.sqrt(np.maximum(np.einsum("iib->ib", matrix), 1e-300))
    factor = matrix / (root[:, None] * root[None, :])
    pivots = np.empty_like(right)
    for j in range(p):
        pivots[j] = factor[j, j]
        factor[j:, j] /= np.sqrt(np.maximum(pivots[j], 1e-15))
        if j + 1 < p:
            below = factor[j + 1 :, j]
            factor[j + 1 :, j + 1 :] -= below[:, None] * below[None, :]
    ok = (pivots > 1e-15).all(axis=0)
    x = right / root
    for i in range(p):
        x[i] /= factor[i, i]
        x[i + 1 :] -= factor[i + 1 :, i] * x[i]
    for i in reversed(range(p)):
        x[i] /= factor[i, i]
        x[:i] -= factor[i, :i] * x[i]
    x /= root
    ok &= np.isfinite(x).all(axis=0)
    return np.where(ok, x, 0.0), ok
