"""Confidence intervals of a fit's parameters, allocation and forecast."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from analysis.fitting.allocation import Allocation, local_exponent
from analysis.fitting.intervals import bca, percentile
from analysis.fitting.objective import Engine
from analysis.fitting.resample import jackknife
from analysis.fitting.settings import SearchSettings
from analysis.laws.base import Array


@dataclass(frozen=True)
class Uncertainty:
    """Intervals of the parameters and of the allocation, from the refits (samples) of a finished fit."""

    engine: Engine
    search: SearchSettings

    @cached_property
    def jackknifed(self) -> Array:
        """Parameters without each cluster of rows, for BCa intervals."""
        engine = self.engine
        return jackknife(engine.problem, engine.points, engine.column, self.search.resample)

    def intervals(self) -> dict[str, tuple[float, float]]:
        """Return the interval of each parameter; empty without resamples."""
        if self.engine.samples is None:
            return {}
        law, units = self.engine.problem.law, self.engine.problem.units
        ends = self._ends(lambda theta: law.unscale(theta, units))
        low, high = (law.complete(dict(zip(law.params, end.tolist(), strict=True))) for end in ends.T)
        return {name: (low[name], high[name]) for name in low}

    def inner(self, level: float) -> Array | None:
        """Return the interval of each parameter of the inner vector, (p, 2); None without resamples."""
        return None if self.engine.samples is None else self._ends(lambda theta: theta, level)

    def forecast_interval(self, level: float) -> tuple[float, float] | None:
        """Return the interval of the forecast at 10 x the largest of each input; None without resamples."""
        if self.engine.samples is None:
            return None
        problem = self.engine.problem
        far = {name: np.array([x.max() + np.log(10)]) for name, x in problem.inputs.items()}
        logs = self._ends(lambda theta: problem.law.evaluate(theta, far).h.T, level)
        low, high = np.exp(logs + problem.units.log_y)[0]
        return float(low), float(high)

    def allocation(self) -> Allocation | None:
        """Return the exponents of optimal N and D in C, or None for a law without; local ones hold at the largest C."""
        problem, points, theta = self.engine.problem, self.engine.points, self.engine.column
        if not problem.law.allocates:
            return None
        product = float((points.inputs["N"] * points.inputs["D"]).max())
        a = float(local_exponent(problem, theta, product)[0])
        if not np.isfinite(a):
            return None
        ends = None
        if self.engine.samples is not None:
            low, high = self._ends(lambda theta: local_exponent(problem, theta, product)[None])[0]
            ends = (float(low), float(high))
        k, split = points.flops_per_nd, problem.law.tradeoff(problem.params(theta))
        return Allocation(a, 1 - a, ends, k, k * product if split is None else None)

    def _ends(self, of: Callable[[Array], Any], level: float | None = None) -> Array:
        """Return the intervals (k, 2) of a function of the parameters. level: None for the fit's own."""
        level = self.search.level if level is None else level
        samples = of(self.engine.refits)
        if self.search.interval != "bca":
            return percentile(samples, level)
        return bca(samples, of(self.engine.column)[:, 0], of(self.jackknifed), level)
