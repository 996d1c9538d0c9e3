"""Choose a batch of runs on linear algebra alone: whom to run, so that what is wanted is known best for the cost.

Everything random is written as `features`: a matrix F (R, m), so that F^T F is the covariance of m quantities
(responses of candidates, targets). Seeing a response with noise shrinks the covariance V (R, R) of its R sources by
one rank, which is all that greedy choice and exchange need.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from analysis.estimates.suggest.prices import Prices
from analysis.laws.base import Array

COST_POWER = 0.4
"""Gain over cost to this power is what a choice maximises (Li et al. 2026, arXiv 2604.22753): with 1, runs that are
cheap and tell next to nothing win; with 0, the first one takes the whole limit."""
COST_POWERS = (0.2, 0.4, 0.6, 0.8, 1.0)
"""Powers that are tried for what belongs to the law alone (`power_for`)."""
LEAST = 0.01
"""Share of the variance at the target that a run has to take away to be worth its cost: half of that of the interval's
width. What is cheap enough for the rest of a limit, and tells less, only adds what the law misses in its corner."""
PLANNED = 100
"""Runs at the most that are planned ahead to spend a limit."""
PASSES = 3
"""Rounds of exchange at the most."""


@dataclass(frozen=True)
class Features:
    """Features of candidates (R, m) and targets (R, t), and the noise variance of a run."""

    candidates: Array
    targets: Array
    noise: float

    @property
    def variance(self) -> float:
        """The targets' mean variance before anything is run."""
        return float((self.targets**2).sum()) / self.targets.shape[1]

    def start(self) -> Seen:
        """Return what is known before anything is run."""
        own = (self.candidates**2).sum(axis=0)
        return Seen(np.eye(len(self.candidates)), self.targets.T @ self.candidates, own, self.variance)

    def see(self, seen: Seen, i: int, sign: Literal[1, -1]) -> Seen:
        """Return what is known once candidate i has been run; with sign -1, as it was without it."""
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
        """Return by what share of the targets' first variance each candidate would lower it, (m,)."""
        return np.asarray((seen.shared**2).mean(axis=0) / (self.noise + seen.own) / max(self.variance, 1e-300))


@dataclass(frozen=True)
class Seen:
    """What is known after some runs: the sources' covariance V (R, R), that of targets with candidates (t, m), the
    candidates' variances (m,), and the mean of the targets'."""

    V: Array
    shared: Array
    own: Array
    wanted: float


State = list[Seen]
"""What is known in each view."""


@dataclass(frozen=True)
class Design:
    """One way or several that things may be, with weights that add up to 1, and what candidates cost."""

    views: tuple[tuple[float, Features], ...]
    prices: Prices

    def start(self) -> State:
        """Return what is known before anything is run."""
        return [view.start() for _, view in self.views]

    def see(self, state: State, i: int, sign: Literal[1, -1] = 1) -> State:
        """Return what is known once candidate i has been run; with sign -1, as it was without it."""
        return [view.see(seen, i, sign) for (_, view), seen in zip(self.views, state, strict=True)]

    def gain(self, state: State) -> Array:
        """Return the share of variance that each candidate would take away, over the views."""
        pairs = zip(self.views, state, strict=True)
        return np.asarray(sum(weight * view.gain(seen) for (weight, view), seen in pairs))

    def left(self, state: State) -> float:
        """Return the logarithm of the variance at the targets, over the views."""
        pairs = zip(self.views, state, strict=True)
        return float(sum(weight * np.log(max(seen.wanted, 1e-300)) for (weight, _), seen in pairs))


def choose(design: Design, *, limit: float, most: int, power: float = COST_POWER) -> list[int]:
    """Choose candidates, greedily and then by exchange, that cost no more than limit in all; in order of choice.

    power: gain over cost to this power is what each choice maximises.
    """
    chosen, state = _greedy(design, limit=limit, most=most, power=power)
    for _ in range(PASSES):
        state, moved = _exchange(design, state, chosen)
        if not moved:
            break
    return _ordered(design, chosen, power)


def power_for(design: Design, limit: float) -> float:
    """Return the power of the cost with which a whole limit, spent greedily to its end, leaves the least variance."""
    ends = {power: _greedy(design, limit=limit, most=PLANNED, power=power)[1] for power in COST_POWERS}
    return min(ends, key=lambda power: design.left(ends[power]))


def _greedy(design: Design, *, limit: float, most: int, power: float) -> tuple[list[int], State]:
    """Choose one candidate after another; return them and what is known after them."""
    state, chosen = design.start(), list[int]()
    while len(chosen) < most:
        i = _best(design, state, chosen, limit - design.prices.of(chosen), power)
        if i is None:
            break
        chosen.append(i)
        state = design.see(state, i)
    return chosen, state


def _best(design: Design, state: State, taken: list[int], left: float, power: float) -> int | None:
    """Return the affordable candidate with the best score, of those worth being made; None where there is none."""
    cost = design.prices.added(taken)
    able = cost <= left * (1 + 1e-12)
    able[taken] = False
    gain = design.gain(state)
    score = np.where(able & (gain >= LEAST), gain / cost**power, -np.inf)
    i = int(np.argmax(score))
    return i if score[i] > 0 else None


def _exchange(design: Design, state: State, chosen: list[int]) -> tuple[State, bool]:
    """Replace each chosen run by the best that costs no more, where that tells more beside the others; tell whether any
    was replaced."""
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
    """Order a batch so that the run with the best score comes first, given those before it."""
    state, left, order = design.start(), list(chosen), list[int]()
    while left:
        score = design.gain(state) / design.prices.added(order) ** power
        order.append(max(left, key=lambda i: score[i]))
        left.remove(order[-1])
        state = design.see(state, order[-1])
    return order
