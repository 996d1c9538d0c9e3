"""Choose the batch of runs that most reduces the expected squared error at the targets for its cost.

Errors are represented by features: a matrix F (R, m) such that F^T V F is the covariance of the errors of m forecasts
(at candidates or targets). V (R, R) is the covariance of the R sources of error: first the law's parameters, then the
law's systematic error. A new run changes the parameters as a fit would. A fit weights all runs equally and assumes no
systematic error, so the run's systematic error biases the parameters, in addition to its noise (Box and Draper 1959).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np

from analysis.estimates.suggest.prices import Prices
from analysis.laws.base import Array

COST_POWER = 0.4
"""A choice maximises gain / cost^power (Li et al. 2026, arXiv 2604.22753): with 1, cheap and uninformative runs win;
with 0, the first run takes the whole limit."""
COST_POWERS = (0.2, 0.4, 0.6, 0.8, 1.0)
"""Powers tried for quantities of the law alone (`power_for`)."""
LEAST = 0.01
"""Minimum reduction of the targets' squared error, as a share, by a run that is chosen; half of that for the interval.
Without it, cheap uninformative runs would use up the limit."""
PLANNED = 100
"""Maximum number of runs planned ahead to spend a limit."""
PASSES = 3
"""Maximum number of rounds of exchange."""


@dataclass(frozen=True)
class Features:
    """Features of the errors at candidates (R, m) and targets (R, t), and the noise variance of a run.

    errors: covariance V (R, R) of the sources. assumed: covariance (p, p) of the first p sources, the parameters, if
    the law is right; it determines how a fit weights a further run.
    """

    candidates: Array
    targets: Array
    noise: float
    errors: Array
    assumed: Array

    @property
    def variance(self) -> float:
        """The targets' mean squared error before any candidate is run."""
        return float((self.targets * (self.errors @ self.targets)).sum()) / self.targets.shape[1]

    def start(self) -> Seen:
        """Return the state before any candidate is run."""
        moved = self.errors @ self.candidates
        own = (self.candidates * moved).sum(axis=0)
        return Seen(self.errors, self.assumed, self.targets.T @ moved, own, self.variance)

    def see(self, seen: Seen, i: int) -> Seen:
        """Return the state after candidate i is run and fitted."""
        slopes, p = self.candidates[:, i], len(self.assumed)
        step = seen.assumed @ slopes[:p]
        scale = self.noise + slopes[:p] @ step
        gain = np.append(step / scale, np.zeros(len(slopes) - p))
        moved = seen.V @ slopes
        actual = self.noise + slopes @ moved
        old_t, new_t, old_c, new_c = (
            moved @ self.targets,
            gain @ self.targets,
            moved @ self.candidates,
            gain @ self.candidates,
        )
        return Seen(
            seen.V - np.outer(gain, moved) - np.outer(moved, gain) + actual * np.outer(gain, gain),
            seen.assumed - np.outer(step, step) / scale,
            seen.shared - np.outer(new_t, old_c) - np.outer(old_t, new_c) + actual * np.outer(new_t, new_c),
            seen.own - 2 * new_c * old_c + actual * new_c**2,
            seen.wanted + float((actual * new_t**2 - 2 * new_t * old_t).mean()),
        )

    def gain(self, seen: Seen) -> Array:
        """Return the share of the targets' initial mean squared error that each candidate takes away (m,).

        Negative where a run would add more of the law's systematic error than it takes away.
        """
        p = len(self.assumed)
        step = seen.assumed @ self.candidates[:p]
        gain = self.targets[:p].T @ step / (self.noise + (self.candidates[:p] * step).sum(axis=0))
        less = 2 * gain * seen.shared - gain**2 * (self.noise + seen.own)
        return np.asarray(less.mean(axis=0) / max(self.variance, 1e-300))


@dataclass(frozen=True)
class Seen:
    """The state after some runs: covariances V (R, R) and `assumed` (p, p) of the sources' errors, `shared` (t, m) of
    the errors at targets and candidates, variances `own` (m,) at candidates, and the targets' mean squared error."""

    V: Array
    assumed: Array
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

    def see(self, state: State, i: int) -> State:
        """Return the states after candidate i is run."""
        return [view.see(seen, i) for (_, view), seen in zip(self.views, state, strict=True)]

    def after(self, chosen: Sequence[int]) -> State:
        """Return the state of each view after some candidates are run."""
        return reduce(self.see, chosen, self.start())

    def gain(self, state: State) -> Array:
        """Return the reduction of the squared error by each candidate (m,), averaged over the views."""
        pairs = zip(self.views, state, strict=True)
        return np.asarray(sum(weight * view.gain(seen) for (weight, view), seen in pairs))

    def log_error(self, state: State) -> float:
        """Return the log squared error at the targets, averaged over the views."""
        pairs = zip(self.views, state, strict=True)
        return float(sum(weight * np.log(max(seen.wanted, 1e-300)) for (weight, _), seen in pairs))


def choose(design: Design, *, limit: float, most: int, power: float = COST_POWER) -> list[int]:
    """Choose candidates within a total cost, greedily and then by exchange; return them best first.

    power: each choice maximises gain / cost^power.
    """
    chosen, _ = _greedy(design, limit=limit, most=most, power=power)
    for _ in range(PASSES):
        if not _exchange(design, chosen):
            break
    return _ordered(design, chosen, power)


def power_for(design: Design, limit: float) -> float:
    """Return the power of the cost for which spending the whole limit greedily leaves the least variance."""
    ends = {power: _greedy(design, limit=limit, most=PLANNED, power=power)[1] for power in COST_POWERS}
    return min(ends, key=lambda power: design.log_error(ends[power]))


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


def _exchange(design: Design, chosen: list[int]) -> bool:
    """Replace each chosen run by the best one that costs no more, if it has a larger gain given the others.

    Returns whether any run was replaced; `chosen` is changed in place.
    """
    moved = False
    for place, old in enumerate(chosen):
        rest = [*chosen[:place], *chosen[place + 1 :]]
        without = design.after(rest)
        new = _best(design, without, rest, design.prices.of(chosen) - design.prices.of(rest), power=0.0)
        if new is None or new == old:
            continue
        gain = design.gain(without)
        if gain[new] > gain[old] * (1 + 1e-6):
            chosen[place], moved = new, True
    return moved


def _ordered(design: Design, chosen: list[int], power: float) -> list[int]:
    """Order a batch by score, each run given those before it."""
    state, left, order = design.start(), list(chosen), list[int]()
    while left:
        score = design.gain(state) / design.prices.added(order) ** power
        order.append(max(left, key=lambda i: score[i]))
        left.remove(order[-1])
        state = design.see(state, order[-1])
    return order
