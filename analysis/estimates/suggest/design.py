"""Choose a batch of runs on linear algebra alone: whom to run, so that what is wanted is known best for the cost.

Everything random is written as `features`: a matrix F (R, m), so that F^T F is the covariance of m quantities
(responses of candidates, targets). Seeing a response with noise shrinks the covariance V (R, R) of its R sources by
one rank, which is all that greedy choice and exchange need.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.laws.base import Array

COST_POWER = 0.4
"""Gain over cost to this power is what a choice maximises (Li et al. 2026, arXiv 2604.22753): with 1, runs that are
cheap and tell next to nothing win; with 0, the first one takes the whole limit."""
PASSES = 3
"""Rounds of exchange at the most."""


@dataclass(frozen=True)
class Design:
    """Candidates with features (R, m), costs (m,), targets' features (R, t), and the noise variance of one run."""

    candidates: Array
    targets: Array
    cost: Array
    noise: float

    def score(self, V: Array) -> tuple[Array, Array]:
        """Return by how much each candidate lowers the targets' mean variance, and that over its cost."""
        seen = V @ self.candidates
        gain = ((self.targets.T @ seen) ** 2).mean(axis=0) / (self.noise + (self.candidates * seen).sum(axis=0))
        return gain, gain / self.cost**COST_POWER

    def variance(self, V: Array) -> float:
        """Return the targets' mean variance."""
        return float(np.einsum("rt,rs,st->", self.targets, V, self.targets)) / self.targets.shape[1]

    def see(self, V: Array, i: int) -> Array:
        """Return the covariance of the sources once candidate i has been run."""
        return see(V, self.candidates[:, i], self.noise)

    def forget(self, V: Array, i: int) -> Array:
        """Return the covariance as it was without candidate i."""
        return see(V, self.candidates[:, i], -self.noise)


def see(V: Array, feature: Array, noise: float) -> Array:
    """Shrink a covariance (R, R) by a response with this feature (R,) and noise variance; widen it with -noise."""
    moved = V @ feature
    return V - np.outer(moved, moved) / (noise + feature @ moved)


def choose(design: Design, *, limit: float, most: int) -> list[int]:
    """Choose candidates, greedily and then by exchange, that cost no more than limit in all; in order of choice."""
    V = np.eye(len(design.candidates))
    chosen: list[int] = []
    while len(chosen) < most:
        i = _best(design, V, chosen, limit - design.cost[chosen].sum())
        if i is None:
            break
        chosen.append(i)
        V = design.see(V, i)
    for _ in range(PASSES):
        V, moved = _exchange(design, V, chosen, limit)
        if not moved:
            break
    return _ordered(design, chosen)


def _best(design: Design, V: Array, taken: list[int], left: float) -> int | None:
    """Return the affordable candidate with the best score; None where there is none."""
    able = design.cost <= left * (1 + 1e-12)
    able[taken] = False
    score = np.where(able, design.score(V)[1], -np.inf)
    i = int(np.argmax(score))
    return i if score[i] > 0 else None


def _exchange(design: Design, V: Array, chosen: list[int], limit: float) -> tuple[Array, bool]:
    """Replace each chosen run by the one that scores best beside the others; tell whether any was replaced."""
    moved = False
    for place, old in enumerate(chosen):
        without = design.forget(V, old)
        others = [*chosen[:place], *chosen[place + 1 :]]
        new = _best(design, without, others, limit - design.cost[others].sum())
        if new is None or new == old:
            continue
        score = design.score(without)[1]
        if score[new] > score[old] * (1 + 1e-6):
            chosen[place], V, moved = new, design.see(without, new), True
    return V, moved


def _ordered(design: Design, chosen: list[int]) -> list[int]:
    """Order a batch so that the run with the best score comes first, given those before it."""
    V, left, order = np.eye(len(design.candidates)), list(chosen), []
    while left:
        score = design.score(V)[1]
        order.append(max(left, key=lambda i: score[i]))
        left.remove(order[-1])
        V = design.see(V, order[-1])
    return order
