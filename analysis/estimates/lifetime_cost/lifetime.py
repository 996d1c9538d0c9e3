"""The cheapest model over training and inference (Sardana et al. 2024, arXiv 2401.00448), from a fitted law."""

from __future__ import annotations

from dataclasses import dataclass, replace
from numbers import Real
from typing import TYPE_CHECKING

import numpy as np

from analysis.errors import Refusal, UserError
from analysis.estimates.lifetime_cost.cheapest import cheapest, trained_to
from analysis.estimates.lifetime_cost.drifted import with_drifted_models
from analysis.estimates.lifetime_cost.model_cost import FLOPS, ModelCost, in_flops
from analysis.fitting.allocation import log_loss, optimal_n
from analysis.fitting.intervals import percentile
from analysis.fitting.verdict.drift import excess_of
from analysis.numbers import number, percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from analysis.fitting.result import Fit
    from analysis.laws.base import Array

Interval = tuple[float, float]
BEFORE, BEYOND = 1e3, 1e9
"""Search range: factor below the smallest and above the largest run's N D."""


@dataclass(frozen=True)
class Model:
    """N and D of a model, and its cost of training, of inference and in total, in the unit of the lifetime."""

    N: float
    D: float
    training: float
    use: float
    total: float


@dataclass(frozen=True)
class Lifetime:
    """The cheapest model over training and inference, and the training-optimal one with the same response.

    value: the response of both; at: the C whose training-optimal split reaches it (None: a requested response). unit:
    of costs, FLOPs or measured seconds. saved: share of the training-optimal model's total cost. never: the share of
    refits without such a model.
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
    unit: str = FLOPS


def cheapest_models(
    law: Fit,
    *,
    inference: float,
    at: Sequence[float] = (),
    reach: float | None = None,
    seconds: Sequence[ModelCost] = (),
) -> tuple[Lifetime, ...]:
    """Find the cheapest model for the optimal response at each training compute, and for a requested response.

    inference: number of inference examples (tokens). at: C in FLOPs; each refit uses its own optimal response at C.
    seconds: further costs to minimise, besides that in FLOPs.
    Raises `Refusal` for a law without N and D, or a response that is never reached.
    """
    check_use(inference, at, reach)
    if law.allocation is None:
        raise Refusal(f"the law {law.law} does not say how to share C between N and D; take a law in N and D")
    model_costs = (in_flops(law.engine.points.flops_per_nd, inference), *seconds)
    wanted = [*((C, None) for C in at), *(() if reach is None else ((None, reach),))]
    return tuple(_lifetime(law, model_cost, inference, C, value) for C, value in wanted for model_cost in model_costs)


def check_use(inference: float, at: Sequence[float], reach: float | None) -> None:
    """Raise `UserError` for an invalid amount of inference, C or response, or without a target."""
    if not (isinstance(inference, Real) and np.isfinite(inference) and inference >= 0):
        raise UserError(f"found {inference} examples of use; wanted a number, zero or more")
    if not at and reach is None:
        raise UserError("found examples of use and no target; wanted --at C or --reach VALUE as well")
    if reach is not None and not (np.isfinite(reach) and reach > 0):
        raise UserError(f"found the response {reach:g} to reach; wanted a positive number")


def _lifetime(law: Fit, model_cost: ModelCost, inference: float, C: float | None, value: float | None) -> Lifetime:
    target, trained, best = (one[..., 0] for one in _both(law, law.engine.column, model_cost, C, value))
    asked = f"{law.y} = {number(value)}" if value else f"C = {number(C)}"
    if not np.isfinite([*trained, *best]).all():
        raise Refusal(f"the fitted law {law.law} has no cheapest model near the runs for {asked}; ask nearer to them")
    cheap, usual = (_model(one, model_cost) for one in (best, trained))
    found = Lifetime(
        law=law.law,
        value=float(np.exp(target)),
        at=C,
        inference=inference,
        best=cheap,
        trained=usual,
        saved=max(0.0, 1 - cheap.total / usual.total),  # the search is accurate to rounding
        warnings=(*law.warnings, *_outside(law, cheap, model_cost)),
        unit=model_cost.unit,
    )
    return _with_intervals(found, law, model_cost, asked, value)


def _with_intervals(found: Lifetime, law: Fit, model_cost: ModelCost, asked: str, value: float | None) -> Lifetime:
    """Add intervals from the refits; none where the share of refits without such a model exceeds 1 - level."""
    if law.engine.samples is None:
        return found
    _, usual, cheap = _both(law, law.engine.samples, model_cost, found.at, value)
    there = np.isfinite([*usual, *cheap]).all(axis=0)
    never = float(1 - there.mean())
    if never:
        warning = f"{percent(never)} of the refits have no such model for {asked}"
        found = replace(found, never=never, warnings=(*found.warnings, warning))
    if never > 1 - law.level:
        return found
    saved = np.maximum(0.0, 1 - np.exp(model_cost.total(*cheap) - model_cost.total(*usual)))
    [share] = percentile(saved[None, there], law.level).tolist()
    N, D = _size_ends(found, law, model_cost, cheap[:, there]).tolist()
    return replace(found, N_interval=tuple(N), D_interval=tuple(D), saved_interval=tuple(share))


def _size_ends(found: Lifetime, law: Fit, model_cost: ModelCost, cheap: Array) -> Array:
    """Return the ends (2, 2) of N and D from those of the refits (2, R), with drifts that the runs do not exclude."""
    best, usual = (np.log([model.N, model.D]) for model in (found.best, found.trained))
    wide = best[:, None] + excess_of(law.engine) * (cheap - best[:, None])
    of_C = None if found.at is None else usual
    drifted = with_drifted_models(wide, law.engine, best, of_C, model_cost.total, seed=law.card["seed"])
    ends = np.stack([percentile(one, law.level) for one in (cheap, drifted)])
    return np.exp(np.stack([ends[:, :, 0].min(axis=0), ends[:, :, 1].max(axis=0)], axis=1))


def _both(
    law: Fit, theta: Array, model_cost: ModelCost, C: float | None, value: float | None
) -> tuple[Array, Array, Array]:
    """Return log responses (R,), and log N and log D (2, R) of the training-optimal and of the cheapest model."""
    problem, inputs = law.engine.problem, law.engine.points.inputs
    with np.errstate(all="ignore"):
        if C is not None:
            log_product = np.log(C / law.engine.points.flops_per_nd)
            log_N = np.log(optimal_n(problem, theta, np.exp(log_product)))
            trained = (log_N, log_product - log_N)
            target = log_loss(problem, theta, *(one[:, None] for one in trained))[:, 0]
        else:
            product = np.log(inputs["N"] * inputs["D"])
            assert value is not None
            target = np.full(theta.shape[1], np.log(value))
            around = (product.min() - np.log(BEFORE), product.max() + np.log(BEYOND))
            trained = trained_to(problem, theta, target, around)
        best = cheapest(problem, theta, target, trained, model_cost.total, larger=model_cost.larger)
    return target, np.stack(trained), np.stack(best)


def _model(sizes: Array, model_cost: ModelCost) -> Model:
    """Return a model of log N and log D (2,) with its costs."""
    training, use = (float(np.exp(one)) for one in (model_cost.training(*sizes), model_cost.use(sizes[0])))
    N, D = np.exp(sizes).tolist()
    return Model(N, D, training, use, training + use)


def _outside(law: Fit, best: Model, model_cost: ModelCost) -> list[str]:
    """Report where the cheapest model lies beyond the runs, or beyond the sizes with measured seconds."""
    N, D = (law.engine.points.inputs[name] for name in ("N", "D"))
    warnings = list(model_cost.remarks)
    if model_cost.measured is not None and not model_cost.measured[0] <= best.N <= model_cost.measured[1]:
        warnings.append(f"the cheapest N in {model_cost.unit} lies beyond the sizes that were measured")
    if N.min() > best.N:
        warnings.append(f"the cheapest N lies below the smallest run's ({number(best.N / N.min(), 3)} of it)")
    if D.max() < best.D:
        warnings.append(f"the cheapest D is {number(best.D / D.max(), 3)} times the largest run's")
    ratio = best.D / best.N / (D / N).max()
    if ratio > 1:
        warnings.append(f"its D/N is {number(ratio, 3)} times the largest run's, where laws promise too much of D")
    return warnings
