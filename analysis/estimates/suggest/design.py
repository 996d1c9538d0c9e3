"""Choose a batch of runs on linear algebra alone: whom to run, so that what is wanted is known best for the cost.

Everything random is written as `features`: a matrix F (R, m), so that F^T F is the covariance of m quantities
(responses of candidates, targets). Seeing a response with noise shrinks the covariance V (R, R) of its R sources by
one rank, which is all that greedy choice and exchange need.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from analysis.laws.base import Array

COST_POWER = 0.4
"""Gain over cost to this power is what a choice maximises (Li et al. 2026, arXiv 2604.22753): with 1, runs that are
cheap and tell next to nothing win; with 0, the first one takes the whole limit."""
LEAST = 0.01
"""Share of the variance at the target that a run has to take away to be worth its cost: half of that of the interval's
width. What is cheap enough for the rest of a limit, and tells less, only adds what the law misses in its corner."""
PASSES = 3
"""Rounds of exchange at the most."""
Covariances = list[Array]
"""The covariance of its sources in each view, (R, R) each."""


@dataclass(frozen=True)
class View:
    """One way that things may be: features of candidates (R, m) and targets (R, t), noise variance, weight."""

    candidates: Array
    targets: Array
    noise: float
    weight: float

    @property
    def variance(self) -> float:
        """The targets' mean variance before anything is run."""
        return float((self.targets**2).sum()) / self.targets.shape[1]

    def gain(self, V: Array) -> Array:
        """Return by what share of that variance each candidate would lower it, (m,)."""
        seen = V @ self.candidates
        fall = ((self.targets.T @ seen) ** 2).mean(axis=0) / (self.noise + (self.candidates * seen).sum(axis=0))
        return fall / max(self.variance, 1e-300)


@dataclass(frozen=True)
class Design:
    """The views, and what each candidate costs (m,)."""

    views: tuple[View, ...]
    cost: Array

    def start(self) -> Covariances:
        """Return the covariances before anything is run."""
        return [np.eye(len(view.candidates)) for view in self.views]

    def gain(self, V: Covariances) -> Array:
        """Return the share of variance that each candidate would take away, over the views."""
        return np.asarray(sum(view.weight * view.gain(one) for view, one in zip(self.views, V, strict=True)))

    def score(self, V: Covariances) -> Array:
        """Return the gain of each candidate over its cost."""
        return np.asarray(self.gain(V) / self.cost**COST_POWER)

    def see(self, V: Covariances, i: int, sign: Literal[1, -1] = 1) -> Covariances:
        """Return the covariances once candidate i has been run; with sign -1, as they were without it."""
        return [shrink(one, view.candidates[:, i], sign * view.noise) for view, one in zip(self.views, V, strict=True)]


def shrink(V: Array, feature: Array, noise: float) -> Array:
    """Shrink a covariance (R, R) by a response with this feature (R,) and noise variance; widen it with -noise."""
    moved = V @ feature
    return V - np.outer(moved, moved) / (noise + feature @ moved)


def choose(design: Design, *, limit: float, most: int) -> list[int]:
    """Choose candidates, greedily and then by exchange, that cost no more than limit in all; in order of choice."""
    V, chosen = design.start(), list[int]()
    while len(chosen) < most:
        i = _best(design, V, chosen, limit - design.cost[chosen].sum())
        if i is None:
            break
        chosen.append(i)
        V = design.see(V, i)
    for _ in range(PASSES):
        V, moved = _exchange(design, V, chosen)
        if not moved:
            break
    return _ordered(design, chosen)


def _best(design: Design, V: Covariances, taken: list[int], left: float) -> int | None:
    """Return the affordable candidate with the best score, of those that tell enough; None where there is none."""
    able = design.cost <= left * (1 + 1e-12)
    able[taken] = False
    gain = design.gain(V)
    score = np.where(able & (gain >= LEAST), gain / design.cost**COST_POWER, -np.inf)
    i = int(np.argmax(score))
    return i if score[i] > 0 else None


def _exchange(design: Design, V: Covariances, chosen: list[int]) -> tuple[Covariances, bool]:
    """Replace each chosen run by the best that costs no more, where that tells more beside the others; tell whether any
    was replaced."""
    moved = False
    for place, old in enumerate(chosen):
        without = design.see(V, old, -1)
        new = _best(design, without, [*chosen[:place], *chosen[place + 1 :]], float(design.cost[old]))
        if new is None or new == old:
            continue
        gain = design.gain(without)
        if gain[new] > gain[old] * (1 + 1e-6):
            chosen[place], V, moved = new, design.see(without, new), True
    return V, moved


def _ordered(design: Design, chosen: list[int]) -> list[int]:
    """Order a batch so that the run with the best score comes first, given those before it."""
    V, left, order = design.start(), list(chosen), list[int]()
    while left:
        score = design.score(V)
        order.append(max(left, key=lambda i: score[i]))
        left.remove(order[-1])
        V = design.see(V, order[-1])
    return order
