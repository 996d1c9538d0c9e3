"""N*(C) and D*(C) by the three approaches of Hoffmann et al. 2022 (arXiv 2203.15556), and their agreement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analysis.errors import UserError, attempt
from analysis.estimates.frontier import Frontier, frontier
from analysis.estimates.isoflop import IsoFlop, isoflop
from analysis.estimates.lifetime_cost.lifetime import Lifetime, cheapest_models, check_use
from analysis.estimates.lifetime_cost.model_cost import ModelCost, in_seconds
from analysis.estimates.powerline import PowerLine
from analysis.estimates.selected import fit_selected
from analysis.estimates.valleys.curve import Shape
from analysis.fitting.allocation import far_targets
from analysis.fitting.display.in_notebook import InNotebook
from analysis.fitting.display.plain import plain
from analysis.laws import Law, constrained_each, get_law
from analysis.numbers import exponent, interval
from analysis.table.columns import with_compute

if TYPE_CHECKING:
    from analysis.fitting.result import Fit

Interval = tuple[float, float]


@dataclass(frozen=True)
class Target:
    """The optimal N and D for one C, by one approach. times: C over the largest C run."""

    C: float
    N: float
    D: float
    N_interval: Interval | None
    D_interval: Interval | None
    times: float


@dataclass(frozen=True)
class Approach:
    """N*(C) by one approach. status: ok or refused, with the reason."""

    name: str
    title: str
    status: str
    reason: str = ""
    N_exponent: float | None = None
    N_exponent_interval: Interval | None = None
    D_exponent: float | None = None
    D_exponent_interval: Interval | None = None
    n: int = 0
    targets: tuple[Target, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Bias:
    """The bias of approach 2 on this grid if the fitted law is true, from noiseless losses.

    N_exponent: its exponent minus the law's. N_ratio: its N* over the law's, at each usable budget.
    """

    N_exponent: float
    N_ratio: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Precomputed:
    """Results already computed from the same rows with the same options; None where they are to be computed."""

    law: Fit | None = None
    minima: IsoFlop | None = None
    front: Frontier | None = None


NOTHING = Precomputed()


@dataclass(frozen=True)
class Use:
    """The use of a model: examples (tokens) of inference, an additional target response, the law.

    measured: an efficiency.csv of `scaling measure`, to minimise the cost in seconds as well.
    """

    inference: float
    reach: float | None = None
    law: str | Law = "chinchilla"
    measured: Path | str | None = None


@dataclass(frozen=True, repr=False)
class ApproachComparison(InNotebook):
    """The approaches side by side, the verdict on their exponents, and the bias of approach 2.

    agree: None if fewer than two approaches have an exponent with an interval. lifetimes: the cheapest models over
    training and inference, if the number of inference examples was given; lifetimes_reason: why there are none.
    warnings: on targets far from the runs.
    """

    y: str
    approaches: tuple[Approach, ...]
    agree: bool | None
    verdict: str
    bias: Bias | None
    bias_reason: str
    level: float
    lifetimes: tuple[Lifetime, ...] = ()
    lifetimes_reason: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def refusal(self) -> str:
        """Return why all approaches, or the lifetime cost, are refused; empty if neither is."""
        if self.lifetimes_reason:
            return f"no cheapest model over training and inference: {self.lifetimes_reason}"
        if any(approach.status == "ok" for approach in self.approaches):
            return ""
        return "no approach can split compute between N and D; each gives its reason"

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain numbers."""
        parts = {**vars(self), "bias_of_isoflop": self.bias}
        names = ["y", "level", "approaches", "agree", "verdict", "bias_of_isoflop", "bias_reason", "warnings"]
        return {name: plain(parts[name]) for name in [*names, *(["lifetimes"] if self.lifetimes else [])]}


def constrained_forms(
    use: Use | None, fix: Mapping[str, float] | None, tie: Mapping[str, str] | None
) -> tuple[Law, Use | None]:
    """Return the Chinchilla law, and the use with its own law, both with the constraints on their parameters."""
    laws = [get_law("chinchilla"), *([get_law(use.law)] if use else [])]
    form, *others = constrained_each(laws, fix, tie)
    return form, replace(use, law=others[0]) if use else None


def allocate(
    rows: pd.DataFrame,
    *,
    y: str = "loss",
    at: Sequence[float] = (),
    milestones: pd.DataFrame | None = None,
    precomputed: Precomputed = NOTHING,
    use: Use | None = None,
    form: str | Law = "chinchilla",
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> ApproachComparison:
    """Compare N*(C) by the envelope, by isoFLOP minima (parabola and the law's own shape) and by the Chinchilla law.

    rows: selected final rows. at: target C in FLOPs. milestones: rows including the milestones of constant-rate runs,
    for the envelope and the law, if there are any. precomputed: results to reuse. use: also find the cheapest models
    over training and inference that reach the optimal response at each C. form: the Chinchilla law, perhaps
    constrained. An approach that fails is refused with its reason. Raises `UserError` for an invalid C or use.
    """
    bad = [C for C in at if not (np.isfinite(C) and C > 0)]
    if bad:
        raise UserError(f"found the target C {bad[0]}; wanted a positive number of FLOPs")
    if use is not None:
        check_use(use.inference, at, use.reach)
    options: dict[str, Any] = {"y": y, "resamples": resamples, "level": level, "seed": seed}
    used = pd.to_numeric(with_compute(rows).get("C", np.nan))
    smallest, largest = float(np.min(used)), float(np.max(used))
    every = rows if milestones is None else milestones
    law, no_law = attempt(lambda: precomputed.law or fit_selected(every, form, **options))
    minima, no_minima = attempt(lambda: precomputed.minima or isoflop(rows, **options))
    shape = Shape.of(law) if law else None
    shaped, no_shaped = attempt(lambda: isoflop(rows, shape=shape, **options)) if shape else (None, no_law)
    front, no_front = attempt(lambda: precomputed.front or frontier(every, **options))
    envelope = (front.N_line, front.D_line, front.warnings) if front else (None, None, ())
    approaches = (
        _by_line("envelope", "1 lower envelope", envelope, no_front, at, largest),
        _by_line("isoflop", "2 isoFLOP, parabola", _lines(minima), no_minima, at, largest),
        _by_line("isoflop_shaped", "2 isoFLOP, the law's shape", _lines(shaped), no_shaped, at, largest),
        _by_law(law, no_law, at, largest),
    )
    agree, verdict = _verdict(approaches)
    bias, no_bias = _bias(rows, y, law, no_law)
    lifetimes: tuple[Lifetime, ...] = ()
    no_lifetimes = ""
    if use is not None:
        use_law = (law, no_law) if use.law == form else attempt(lambda: fit_selected(every, use.law, **options))
        lifetimes, no_lifetimes = _lifetimes(use, *use_law, rows, at)
    far = tuple(far_targets(at, smallest, largest))
    return ApproachComparison(y, approaches, agree, verdict, bias, no_bias, level, lifetimes, no_lifetimes, far)


def _lifetimes(
    use: Use, law: Fit | None, why: str, rows: pd.DataFrame, at: Sequence[float]
) -> tuple[tuple[Lifetime, ...], str]:
    """Find the cheapest models under the law of `use`, or return why there are none.

    why: the reason for which the law is None. rows: final rows, the source of training seconds.
    """
    if law is None:
        return (), why
    seconds: tuple[ModelCost, ...] = ()
    if use.measured is not None:
        size = law.engine.points.columns.get("N", "N")
        seconds = in_seconds(use.measured, rows, size=size, inference=use.inference)
    asked = partial(cheapest_models, law, inference=use.inference, at=at, reach=use.reach, seconds=seconds)
    found, reason = attempt(asked)
    return found or (), reason


def _lines(minima: IsoFlop | None) -> tuple[PowerLine | None, PowerLine | None, tuple[str, ...]]:
    return (minima.N_law, minima.D_law, minima.warnings) if minima else (None, None, ())


def _by_line(
    name: str,
    title: str,
    lines: tuple[PowerLine | None, PowerLine | None, tuple[str, ...]],
    why: str,
    at: Sequence[float],
    largest: float,
) -> Approach:
    N_line, D_line, warnings = lines
    if N_line is None or D_line is None:
        refusals = [text for text in warnings if text.startswith("no law")]
        reason = why or "; ".join(refusals or warnings) or "too few minima inside the sizes run"
        return Approach(name, title, "refused", reason)
    targets = tuple(
        Target(C, float(N_line.predict(C)), float(D_line.predict(C)), _at(N_line, C), _at(D_line, C), C / largest)
        for C in at
    )
    exponents = (N_line.exponent, N_line.exponent_interval, D_line.exponent, D_line.exponent_interval)
    return Approach(name, title, "ok", "", *exponents, n=N_line.n, targets=targets, warnings=warnings)


def _at(line: PowerLine, C: float) -> Interval | None:
    ends = line.interval(C)
    return (float(ends[0][0]), float(ends[1][0])) if ends else None


def _by_law(law: Fit | None, why: str, at: Sequence[float], largest: float) -> Approach:
    name, title = "parametric", "3 Chinchilla law"
    if law is None or law.allocation is None:
        return Approach(name, title, "refused", why or "the fitted law does not determine an allocation")
    found, ends = law.allocation, law.allocation.N_exponent_interval
    optima = [law.allocate(C) for C in at]
    targets = tuple(Target(o.C, o.N, o.D, o.N_interval, o.D_interval, o.C / largest) for o in optima)
    mirrored = (1 - ends[1], 1 - ends[0]) if ends else None
    exponents = (found.N_exponent, ends, found.D_exponent, mirrored)
    return Approach(name, title, "ok", "", *exponents, n=law.n_points, targets=targets, warnings=law.warnings)


def _verdict(approaches: Sequence[Approach]) -> tuple[bool | None, str]:
    """Compare the exponents pairwise; return whether they agree within their intervals, and a sentence."""
    sure = [a for a in approaches if a.status == "ok" and a.N_exponent_interval]
    if len(sure) < 2:
        which = f"approach {sure[0].title} only" if sure else "none of them"
        return None, f"cannot say whether the approaches agree: an exponent with an interval comes from {which}"
    apart = [(a, b) for a, b in combinations(sure, 2) if not _compatible(*sorted((a, b), key=_exponent))]
    listed = ", ".join(f"{a.title}: {exponent(a.N_exponent)} {interval(a.N_exponent_interval, exponent)}" for a in sure)
    if not apart:
        return True, f"the approaches agree on the exponent of N* within their intervals ({listed})"
    pairs = "; ".join(f"approach {a.title} against approach {b.title}" for a, b in apart)
    return False, f"the approaches disagree on the exponent of N*: {pairs} ({listed})"


def _compatible(lower: Approach, upper: Approach) -> bool:
    """Tell whether the difference is within the root sum of squares of the facing half-intervals."""
    assert lower.N_exponent_interval
    assert upper.N_exponent_interval
    above = lower.N_exponent_interval[1] - _exponent(lower)
    below = _exponent(upper) - upper.N_exponent_interval[0]
    return _exponent(upper) - _exponent(lower) <= float(np.hypot(above, below))


def _exponent(approach: Approach) -> float:
    assert approach.N_exponent is not None
    return approach.N_exponent


def _bias(rows: pd.DataFrame, y: str, law: Fit | None, why: str) -> tuple[Bias | None, str]:
    """Run approach 2 on the law's noiseless losses at the inputs of the runs."""
    if law is None or law.allocation is None:
        return None, why
    simulated = rows.assign(**{y: law.predict(rows)})
    found, reason = attempt(lambda: isoflop(simulated, y=y, resamples=0))
    if found is None or found.N_law is None:
        return None, reason or "on the law's own losses, too few minima lie inside the sizes run"
    ratios = tuple((minimum.C, minimum.N / law.allocate(minimum.C).N) for minimum in found.usable)
    return Bias(found.N_law.exponent - law.allocation.N_exponent, ratios), ""
