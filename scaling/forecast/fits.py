"""Fit costs to the measured seconds of steps, by least squares of the relative errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields, replace

import numpy as np
from scipy.optimize import nnls

from scaling.forecast.speed import Costs, StackCosts
from scaling.forecast.timing.shapes import Shape, planned_shape
from scaling.forecast.work import Work, step_work
from scaling.plan.planned import PlannedRun

FASTER = 1.25  # how much faster than large products those of a step can be, in the cache
QUANTILE = 0.75  # of the relative errors, which is reported
TINY = 1e-12  # seconds or units: scale of a column without any
NEARLY = 1.05  # times the least cost of a step for each member, at which a stack is large enough


@dataclass(frozen=True)
class TimedStack:
    """A stack of `members` runs of one shape, and the seconds of its step."""

    run: PlannedRun
    members: int
    seconds: float


def fit_costs(
    shapes: Sequence[Shape], seconds: Sequence[float], *, products: float = float("inf")
) -> tuple[Costs, float]:
    """Fit non-negative costs to measured steps; return them and their relative error.

    products: FLOP/s of large products, which bound the cost of a FLOP from below if the shapes determine it badly.
    """
    rows, times = np.array([astuple(_work_of(shape)) for shape in shapes], dtype=float), np.array(seconds)
    names = [f.name for f in fields(Costs)]
    least = np.array([1 / (FASTER * products) if name == "flop" else 0.0 for name in names])
    costs = least + _fit(rows, times, times - rows @ least)
    return Costs(**dict(zip(names, costs.tolist(), strict=True))), _error(rows, costs, times)


def fit_convolutions(shapes: Sequence[Shape], seconds: Sequence[float], costs: Costs) -> Costs:
    """Fit the additional costs of convolutions over matrix products to measured steps."""
    done, times = list(map(_work_of, shapes)), np.array(seconds)
    rows = np.array([(each.convolution, each.map) for each in done], dtype=float)
    beyond = np.maximum(times - np.array([each.seconds(costs) for each in done]), 0.0)
    convolution, each = _fit(rows, times, beyond).tolist()
    return replace(costs, convolution=convolution, map=each)


def fit_together(stacks: Sequence[TimedStack], costs: Costs) -> tuple[StackCosts, float]:
    """Fit non-negative costs to measured steps of stacks; return them and their relative error.

    costs: of single runs.
    """
    rows, times = np.array([_row(stack, costs) for stack in stacks]), np.array([stack.seconds for stack in stacks])
    found = _fit(rows, times, times)
    step, member, sized = found.tolist()
    return StackCosts(step, member, sized), _error(rows, found, times)


def enough_numbers(stacks: Sequence[TimedStack], *, least: int) -> int:
    """Return the size of a step, in numbers, of the smallest stack with nearly the least cost for each member.

    Only stacks of the same shape as the largest one count. least: lower limit of the result if that stack is the
    largest, since larger ones may be even cheaper.
    """
    largest = max(stacks, key=lambda stack: stack.members)
    each = {stack.members: stack.seconds / stack.members for stack in stacks if stack.run == largest.run}
    members = min(members for members, took in each.items() if took <= NEARLY * min(each.values()))
    numbers = members * step_work(largest.run.config, batch=largest.run.quantities.batch).numbers
    return max(numbers, least) if members == largest.members else numbers


def _work_of(shape: Shape) -> Work:
    return step_work(planned_shape(shape, "fp32").config, batch=shape.batch)


def _row(stack: TimedStack, costs: Costs) -> tuple[float, float, float]:
    """Return the row of a stack's step for the fit, for `step`, `member` and `sized`."""
    done = step_work(stack.run.config, batch=stack.run.quantities.batch)
    fixed = done.fixed(costs)
    return fixed, stack.members, stack.members * (done.seconds(costs) - fixed)


def _fit(rows: np.ndarray, times: np.ndarray, explained: np.ndarray) -> np.ndarray:
    """Return the non-negative costs (k,) for which rows (n, k) @ costs is nearest to `explained` (n,).

    Errors are relative to `times` (n,).
    """
    scale = np.maximum(rows.max(axis=0), TINY)  # FLOPs and steps differ by ten orders of magnitude
    weights, _ = nnls(rows / scale / times[:, None], explained / times)
    return weights / scale


def _error(rows: np.ndarray, costs: np.ndarray, times: np.ndarray) -> float:
    """Return the QUANTILE of the relative errors of rows (n, k) @ costs (k,)."""
    return float(np.quantile(np.abs(rows @ costs / times - 1), QUANTILE))
