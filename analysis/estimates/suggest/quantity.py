"""Quantities that a suggestion can target: the response at settings, the optimal N at a compute, an exponent."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from analysis.errors import Refusal, UserError
from analysis.fitting.allocation import local_exponent, optimal_n
from analysis.fitting.result import Fit
from analysis.laws.base import Array

if TYPE_CHECKING:
    import pandas as pd

STEP = 1e-4
"""Step of the finite differences for a quantity's derivatives, in the law's scale-free parameters."""


def slopes_of(found: Fit, target: pd.DataFrame, of: str) -> Array:
    """Return d log quantity / d inner parameter (p, t), one column per target. Raises `UserError` and `Refusal`."""
    quantity, theta = log_quantity(found, target, of), found.engine.theta
    moved = STEP * np.maximum(1.0, np.abs(theta))
    slopes = np.stack(
        [(quantity(theta + e) - quantity(theta - e)) / (2 * moved[i]) for i, e in enumerate(np.diag(moved))]
    )
    if not np.isfinite(slopes).all():
        raise Refusal(f"the fitted law {found.law} does not give {of} there; ask nearer to the runs, or for another")
    return slopes


def log_quantity(found: Fit, target: pd.DataFrame, of: str) -> Callable[[Array], Array]:
    """Return the function from inner parameters (p,) to the log of the target quantity (t,)."""
    problem, law = found.engine.problem, found.engine.problem.law
    if of in law.params:
        return lambda theta: np.log(np.abs(problem.params(theta[:, None])[of]))
    if of not in ("N_star", "N_exponent"):
        raise UserError(f"found of={of!r}; wanted {found.y}, N_star, N_exponent or one of {', '.join(law.params)}")
    if found.allocation is None:
        raise Refusal(f"the law {found.law} does not say how to share C between N and D; ask for {found.y}")
    if "C" not in target.columns:
        raise UserError(f"found no C in the target; wanted one, such as C=1e18, to know {of} there")
    product = target["C"].to_numpy(dtype=float) / found.allocation.flops_per_nd
    value = optimal_n if of == "N_star" else local_exponent
    return lambda theta: np.log([float(np.ravel(value(problem, theta[:, None], p))[0]) for p in product])
