"""Refit on resampled runs, points, seeds or residuals: all refits as one batch, in bounded memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from analysis.errors import Refusal, UserError
from analysis.fitting.objective import Objective, Problem, jacobian, residuals, score_and_hessian
from analysis.fitting.points import Points
from analysis.fitting.solver import solve
from analysis.laws.base import Array
from analysis.wording import counted

Resample = Literal["runs", "points", "seed", "wild"]
WEIGHTS = "weights"
"""A kind of resampling that a comparison uses: each run gets a random weight, exponential with mean 1, instead of being
drawn a whole number of times (Rubin 1981; for M-estimates Rao and Zhao 1992). No run is left out, so refits of few runs
by nearly absolute errors jump less. Refits by least squares do not jump, and would scatter too little
(docs/coverage.md)."""
BLOCK = 2_000
"""Resamples drawn at once, which bounds memory."""
MOST_GROUPS = 200
"""Maximum number of refits of a jackknife."""
MOST_VALUES = 40_000_000
"""Resamples x points beyond which the sandwich formula replaces refits (about half a minute of refits)."""


@dataclass(frozen=True)
class Samples:
    """Parameters of the refits (p, R), and the share that converged."""

    theta: Array
    converged: float
    refitted: bool = True


def refit(
    problem: Problem, points: Points, at: Array, *, count: int, resample: str, seed: int, most: int = MOST_VALUES
) -> Samples:
    """Refit `count` resamples.

    at: solutions (p, k) to start from; each resample keeps its best. most: if count x points exceeds this, draw from
    the sandwich formula instead.
    """
    if count * points.n > most:
        return Samples(
            sandwich(problem, points, at[:, 0], count=count, resample=resample, seed=seed), 1.0, refitted=False
        )
    blocks = np.random.SeedSequence(seed).spawn(-(-count // BLOCK))
    theta, converged = [], 0
    cluster = clusters(points, resample)
    for i, source in enumerate(blocks):
        rng = np.random.default_rng(source)
        size = min(BLOCK, count - i * BLOCK)
        if resample == "wild":
            response = _flipped(problem, at[:, :1], cluster, size, rng)
            done = _best(problem, at, points.weights, response, size)
        else:
            if resample == WEIGHTS:
                times = rng.standard_exponential((size, int(cluster.max()) + 1))[:, cluster]
            else:
                times = _draw(cluster, size, len(at) + 1, rng)
            done = _best(problem, at, points.weights * times, None, size)
        theta.append(done[0])
        converged += int(done[1].sum())
    return Samples(np.concatenate(theta, axis=1), converged / count)


def clusters(points: Points, resample: str) -> Array:
    """Return the cluster number of each row; the rows of a cluster are resampled together."""
    if resample == "points":
        return np.arange(points.n)
    if resample != "seed":
        return points.run
    if points.seed is None:
        raise UserError(
            "found rows without a seed; --resample seed wants a column seed without gaps; take --resample runs"
        )
    if points.seed.max() < 2:
        found = counted(int(points.seed.max()) + 1, "seed")
        raise Refusal(f"found {found}; --resample seed wants at least 3; take --resample runs")
    return points.seed


def resamples_differ(points: Points, resample: str) -> bool:
    """Tell whether resamples can differ from the table; a draw that has both of two runs is the table itself."""
    return int(clusters(points, resample).max()) >= (2 if resample == "runs" else 1)


def _draw(cluster: Array, size: int, fewest: int, rng: np.random.Generator) -> Array:
    """Draw the count of each row in each resample (size, n). fewest: minimum number of distinct clusters."""
    k = int(cluster.max()) + 1
    fewest = min(fewest, max(2, k - 1))
    times = rng.multinomial(k, np.full(k, 1 / k), size=size)
    for _ in range(100):
        poor = (times > 0).sum(axis=1) < fewest
        if not poor.any():
            break
        times[poor] = rng.multinomial(k, np.full(k, 1 / k), size=int(poor.sum()))
    return times[:, cluster].astype(float)


def jackknife(problem: Problem, points: Points, at: Array, resample: str) -> Array:
    """Refit with each cluster (or, with more than `MOST_GROUPS`, each group of clusters) left out: (p, groups)."""
    group = clusters(points, resample) % MOST_GROUPS
    k = int(group.max()) + 1
    weights = points.weights * (group[None, :] != np.arange(k)[:, None])
    return solve(problem, np.repeat(at[:, :1], k, axis=1), weights=weights, anneal=False).theta


def sandwich(problem: Problem, points: Points, at: Array, *, count: int, resample: str, seed: int) -> Array:
    """Draw parameters (p, count) from the sandwich normal: covariance H^-1 G G^T H^-1, scores G summed by cluster."""
    theta = at[:, None]
    scores, hessian = score_and_hessian(problem, theta, points.weights)
    cluster = clusters(points, resample)
    summed = np.stack([np.bincount(cluster, row) for row in scores])
    low, high = problem.law.box()
    free = (at > low) & (at < high)
    root = np.zeros((len(at), len(at)))
    inverse = np.linalg.pinv(hessian[np.ix_(free, free)], hermitian=True)
    values, vectors = np.linalg.eigh(inverse @ np.einsum("ik,jk->ij", summed[free], summed[free]) @ inverse)
    root[np.ix_(free, free)] = vectors * np.sqrt(np.maximum(values, 0))
    draws = np.random.default_rng(seed).standard_normal((len(at), count))
    return problem.law.clip(theta + root @ draws)


def _best(problem: Problem, at: Array, weights: Array, response: Array | None, size: int) -> tuple[Array, Array]:
    """Return the best parameters (p, size) of each resample from the starts (p, k), and which of them converged."""
    found = [
        solve(problem, np.repeat(start[:, None], size, axis=1), weights=weights, response=response, anneal=False)
        for start in at.T
    ]
    best, member = np.argmin([one.value for one in found], axis=0), np.arange(size)
    theta = np.stack([one.theta for one in found])[best, :, member].T
    converged = np.stack([one.converged & np.isfinite(one.value) for one in found])[best, member]
    left = np.flatnonzero(~converged)
    if len(left):  # slow in flat valleys: with the damping reset, most of them soon converge
        rows = [part if part is None or part.ndim == 1 else part[left] for part in (weights, response)]
        again = solve(problem, theta[:, left], weights=rows[0], response=rows[1], anneal=False)
        theta[:, left], converged[left] = again.theta, again.converged
    return theta, converged


def nearly_absolute(objective: Objective, rest: Array) -> bool:
    """Tell whether most residuals count by their absolute values, rather than by their squares."""
    spread = 1.4826 * float(np.median(np.abs(rest)))
    return objective.name == "lad" or (objective.name == "huber" and objective.delta <= 2 * spread)


def _flipped(problem: Problem, at: Array, cluster: Array, size: int, rng: np.random.Generator) -> Array:
    """Return wild-bootstrap responses (size, n): leverage-adjusted residuals with a random sign per cluster."""
    spread = _widened(problem, at)
    signs = rng.choice([-1.0, 1.0], size=(size, int(cluster.max()) + 1))[:, cluster]
    return problem.response - residuals(problem, at)[0] + spread * signs


def _widened(problem: Problem, at: Array) -> Array:
    """Return absolute residuals (n,) corrected for the leverage of each point on the fit.

    Squared loss: r / (1 - leverage) (MacKinnon and White 1985, HC3). Absolute loss, or Huber with a small delta:
    |r| + leverage / (2 density at zero) (Feng, He and Hu 2011), as the law nearly interpolates some points; scaled for
    the degrees of freedom.
    """
    rest, n, p = residuals(problem, at)[0], problem.n, len(at)
    slopes = jacobian(problem, at[:, 0])
    gram = np.einsum("in,jn->ij", slopes, slopes)
    leverage = np.clip(np.einsum("in,ij,jn->n", slopes, np.linalg.pinv(gram), slopes), 0.0, 0.9)
    if not nearly_absolute(problem.objective, rest):
        return np.abs(rest) / (1 - leverage)
    scale = 1.4826 * float(np.median(np.abs(rest)))
    freedom = np.sqrt(n / max(1, n - p))
    return freedom * (np.abs(rest) + np.sqrt(np.pi / 2) * leverage * scale * freedom)
