"""Choose the batch of runs that most reduces the variance at the targets for its cost, by linear algebra alone.

Random quantities are represented by `features`: a matrix F (R, m) such that F^T F is the covariance of m quantities
(responses of candidates, targets). A noisy observation is a rank-one downdate of the covariance V (R, R) of the R
sources; greedy choice and exchange need nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from analysis.estimates.suggest.prices import Prices
from analysis.laws.base import Array

COST_POWER = 0.4
"""A choice maximises gain / cost^power (Li et al. 2026, arXiv 2604.22753): with 1, cheap and uninformative runs win;
with 0, the first run takes the whole limit."""
COST_POWERS = (0.2, 0.4, 0.6, 0.8, 1.0)
"""Powers tried for quantities of the law alone (`power_for`)."""
LEAST = 0.01
"""Minimum reduction of the target's variance, as a share, for a run to be chosen (half of that in interval width).
Otherwise cheap uninformative runs would use up the limit and only add the law's local error."""
PLANNED = 100
"""Maximum number of runs planned ahead to spend a limit."""
PASSES = 3
"""Maximum number of rounds of exchange."""


@dataclass(frozen=True)
class Features:
    """Features of candidates (R, m) and targets (R, t), and the noise variance of a run."""

    candidates: Array
    targets: Array
    noise: float

    @property
    def variance(self) -> float:
        """The targets' mean variance before any candidate is run."""
        return float((self.targets**2).sum()) / self.targets.shape[1]

    def start(self) -> Seen:
        """Return the state before any candidate is run."""
        own = (self.candidates**2).sum(axis=0)
        return Seen(np.eye(len(self.candidates)), self.targets.T @ self.candidates, own, self.variance)

    def see(self, seen: Seen, i: int, sign: Literal[1, -1]) -> Seen:
        """Return the state after observing candidate i; with sign -1, the state without it."""
        noise, moved = sign * self.noise, seen.V @ self.candidates[:, i]
        scale = noise + self.candidates[:, i] @ moved
        by_target, by_candidate = self.targets.T @ moved, moved @ self.candidates
        return Seen(
            seen.V - np.outer(moved, moved) / scale,
            seen.shared - np.outer(by_target, by_candidate) / scale,
            seen.own - by_candidate**2 / scale,
            seen.wanted - float((by_target**2).mean()) / float(scale),
        )

    def gain(self, seen: Seen) -> Array:
        """Return the reduction of the targets' variance by each candidate (m,), as a share of the initial variance."""
        return np.asarray((seen.shared**2).mean(axis=0) / (self.noise + seen.own) / max(self.variance, 1e-300))


@dataclass(frozen=True)
class Seen:
    """The state after some runs: covariance V (R, R) of the sources, `shared` (t, m) of targets with candidates,
    variances `own` (m,) of candidates, and mean variance `wanted` of the targets."""

    V: Array
    shared: Array
    own: Array
    wanted: float


State = list[Seen]
"""The state in each view."""


@dataclass(frozen=True)
class Design:
    """One or several models (views) with weights that sum to 1, and the candidates' prices."""

    views: tuple[tuple[float, Features], ...]
    prices: Prices

    def start(self) -> State:
        """Return the state of each view before any candidate is run."""
        return [view.start() for _, view in self.views]

    def see(self, state: State, i: int, sign: Literal[1, -1] = 1) -> State:
        """Return the states after observing candidate i; with sign -1, the states without it."""
        return [view.see(seen, i, sign) for (_, view), seen in zip(self.views, state, strict=True)]

    def gain(self, state: State) -> Array:
        """Return the reduction of variance by each candidate (m,), averaged over the views."""
        pairs = zip(self.views, state, strict=True)
        return np.asarray(sum(weight * view.gain(seen) for (weight, view), seen in pairs))

    def left(self, state: State) -> float:
        """Return the log variance at the targets, averaged over the views."""
        pairs = zip(self.views, state, strict=True)
        return float(sum(weight * np.log(max(seen.wanted, 1e-300)) for (weight, _), seen in pairs))


def choose(design: Design, *, limit: float, most: int, power: float = COST_POWER) -> list[int]:
    """Choose candidates within a total cost, greedily and then by exchange; return them best first.

    power: each choice maximises gain / cost^power.
    """
    chosen, state = _greedy(design, limit=limit, most=most, power=power)
    for _ in range(PASSES):
        state, moved = _exchange(design, state, chosen)
        if not moved:
            break
    return _ordered(design, chosen, power)


def power_for(design: Design, limit: float) -> float:
    """Return the power of the cost for which spending the whole limit greedily leaves the least variance."""
    ends = {power: _greedy(design, limit=limit, most=PLANNED, power=power)[1] for power in COST_POWERS}
    return min(ends, key=lambda power: design.left(ends[power]))


def _greedy(design: Design, *, limit: float, most: int, power: float) -> tuple[list[int], State]:
    """Choose candidates one by one; return them and the resulting state."""
    state, chosen = design.start(), list[int]()
    while len(chosen) < most:
        i = _best(design, state, chosen, limit - design.prices.of(chosen), power)
        if i is None:
            break
        chosen.append(i)
        state = design.see(state, i)
    return chosen, state


def _best(design: Design, state: State, taken: list[int], left: float, power: float) -> int | None:
    """Return the affordable candidate with the best score and a gain of at least `LEAST`; None if there is none."""
    cost = design.prices.added(taken)
    able = cost <= left * (1 + 1e-12)
    able[taken] = False
    gain = design.gain(state)
    score = np.where(able & (gain >= LEAST), gain / cost**power, -np.inf)
    i = int(np.argmax(score))
    return i if score[i] > 0 else None


def _exchange(design: Design, state: State, chosen: list[int]) -> tuple[State, bool]:
    """Replace each chosen run by the best one that costs no more, if it has a larger gain given the others.

    Returns the state, and whether any run was replaced; `chosen` is changed in place.
    """
    moved = False
    for place, old in enumerate(chosen):
        without = design.see(state, old, -1)
        rest = [*chosen[:place], *chosen[place + 1 :]]
        new = _best(design, without, rest, design.prices.of(chosen) - design.prices.of(rest), power=0.0)
        if new is None or new == old:
            continue
        gain = design.gain(without)
        if gain[new] > gain[old] * (1 + 1e-6):
            chosen[place], state, moved = new, design.see(without, new), True
    return state, moved


def _ordered(design: Design, chosen: list[int], power: float) -> list[int]:
    """Order a batch by score, each run given those before it."""
    state, left, order = design.start(), list(chosen), list[int]()
    while left:
        score = design.gain(state) / design.prices.added(order) ** power
        order.append(max(left, key=lambda i: score[i]))
        left.remove(order[-1])
        state = design.see(state, order[-1])
    return order
