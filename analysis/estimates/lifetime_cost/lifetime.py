"""The model that is cheapest over training and use (Sardana et al. 2024, arXiv 2401.00448), from a fitted law."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from analysis.errors import Refusal, UserError
from analysis.estimates.lifetime_cost.cheapest import cheapest, trained_to
from analysis.fitting.allocation import log_loss, optimal_n
from analysis.fitting.intervals import percentile
from analysis.numbers import number, percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from analysis.fitting.result import Fit
    from analysis.laws.base import Array

Interval = tuple[float, float]
SHARE = 1 / 3
"""Of a training step's FLOPs, what a forward pass takes: 2 N of 6 N an example."""
BEFORE, BEYOND = 1e3, 1e9
"""Times below the smallest and above the largest run's N D in which training that reaches a response is looked for."""


@dataclass(frozen=True)
class Model:
    """A size and a length, and what they cost in FLOPs: of training, of use, of both."""

    N: float
    D: float
    training: float
    use: float
    total: float


@dataclass(frozen=True)
class Lifetime:
    """The cheapest model over training and use against the training-optimal one of the same response.

    value: the response of both; at: the C whose training-optimal split reaches it (None: it was asked for). saved: of
    the training-optimal model's total. never: the share of refits that have no such model.
    """

    law: str
    value: float
    at: float | None
    inference: float
    best: Model
    trained: Model
    saved: float
    N_interval: Interval | None = None
    D_interval: Interval | None = None
    saved_interval: Interval | None = None
    never: float = 0.0
    warnings: tuple[str, ...] = ()


def lifetimes(
    law: Fit, *, inference: float, at: Sequence[float] = (), reach: float | None = None
) -> tuple[Lifetime, ...]:
    """Find the cheapest model for the response that each training compute buys, and for one that is asked for.

    inference: examples (tokens) of use. at: C in FLOPs; each refit takes the response that C buys by itself.
    Raises `Refusal` for a law without N and D, a refused fit, or a response that is never reached.
    """
    check_use(inference, at, reach)
    if law.allocation is None:
        raise Refusal(f"the law {law.law} does not say how to share C between N and D; take a law in N and D")
    if law.certificate.status == "refused":
        raise Refusal("; ".join(law.certificate.reasons))
    found = [_lifetime(law, inference, C, None) for C in at]
    return tuple(found if reach is None else [*found, _lifetime(law, inference, None, reach)])


def check_use(inference: float, at: Sequence[float], reach: float | None) -> None:
    """Refuse what is no use of a model, or has no target, by `UserError`."""
    if not (np.isfinite(inference) and inference >= 0):
        raise UserError(f"found {inference:g} examples of use; wanted a number, zero or more")
    if not at and reach is None:
        raise UserError("found examples of use and no target; wanted --at C or --reach VALUE as well")
    if reach is not None and not (np.isfinite(reach) and reach > 0):
        raise UserError(f"found the response {reach:g} to reach; wanted a positive number")


def _lifetime(law: Fit, inference: float, C: float | None, value: float | None) -> Lifetime:
    k = law.engine.points.flops_per_nd
    target, trained, best = (one[..., 0] for one in _both(law, law.engine.theta[:, None], inference, C, value))
    asked = f"{law.y} = {number(value)}" if value else f"C = {number(C)}"
    if not np.isfinite([*trained, *best]).all():
        raise Refusal(f"the fitted law {law.law} has no cheapest model near the runs for {asked}; ask nearer to them")
    cheap, usual = (_model(*np.exp(one).tolist(), k=k, inference=inference) for one in (best, trained))
    found = Lifetime(
        law=law.law,
        value=float(np.exp(target)),
        at=C,
        inference=inference,
        best=cheap,
        trained=usual,
        saved=1 - cheap.total / usual.total,
        warnings=(*law.warnings, *_outside(law, cheap)),
    )
    return _with_intervals(found, law, asked, value)


def _with_intervals(found: Lifetime, law: Fit, asked: str, value: float | None) -> Lifetime:
    """Add what the refits say: none where more of them than the interval leaves out have no such model."""
    if law.engine.samples is None:
        return found
    _, usual, cheap = _both(law, law.engine.samples, found.inference, found.at, value)
    there = np.isfinite([*usual, *cheap]).all(axis=0)
    never = float(1 - there.mean())
    if never:
        said = f"{percent(never)} of the refits have no such model for {asked}"
        found = replace(found, never=never, warnings=(*found.warnings, said))
    if never > 1 - law.level:
        return found
    saved = 1 - _total(cheap, found.inference) / _total(usual, found.inference)
    N, D, share = percentile(np.stack([*np.exp(cheap), saved])[:, there], law.level).tolist()
    return replace(found, N_interval=tuple(N), D_interval=tuple(D), saved_interval=tuple(share))


def _both(law: Fit, theta: Array, inference: float, C: float | None, value: float | None) -> tuple[Array, Array, Array]:
    """Return log responses (R,), and log N and log D (2, R) of the least training and of the cheapest model."""
    problem, inputs = law.engine.problem, law.engine.points.inputs
    how = (problem.law, problem.units, theta)
    with np.errstate(all="ignore"):
        if C is not None:
            log_product = np.log(C / law.engine.points.flops_per_nd)
            log_N = np.log(optimal_n(*how, np.exp(log_product)))
            trained = (log_N, log_product - log_N)
            target = log_loss(*how, *(one[:, None] for one in trained))[:, 0]
        else:
            product = np.log(inputs["N"] * inputs["D"])
            assert value is not None
            target = np.full(theta.shape[1], np.log(value))
            trained = trained_to(*how, target, (product.min() - np.log(BEFORE), product.max() + np.log(BEYOND)))
        best = cheapest(*how, target, trained, inference * SHARE)
    return target, np.stack(trained), np.stack(best)


def _total(sizes: Array, inference: float) -> Array:
    """Return what log N and log D (2, R) cost, in FLOPs per k."""
    return np.exp(sizes[0]) * (np.exp(sizes[1]) + SHARE * inference)


def _model(N: float, D: float, *, k: float, inference: float) -> Model:
    training, use = k * N * D, k * SHARE * N * inference
    return Model(N, D, training, use, training + use)


def _outside(law: Fit, best: Model) -> list[str]:
    """Say where the cheapest model lies beyond the runs."""
    N, D = (law.engine.points.inputs[name] for name in ("N", "D"))
    said = []
    if N.min() > best.N:
        said.append(f"the cheapest N lies below the smallest run's ({number(best.N / N.min(), 3)} of it)")
    if D.max() < best.D:
        said.append(f"the cheapest D is {number(best.D / D.max(), 3)} times the largest run's")
    ratio = best.D / best.N / (D / N).max()
    if ratio > 1:
        said.append(f"its D/N is {number(ratio, 3)} times the largest run's, where laws promise too much of D")
    return said
