"""A law that splits D into steps and batch size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.laws.additive import AdditiveLaw, Power, Term, sum_of_powers
from analysis.laws.base import Array, Inputs, Units


@dataclass(frozen=True)
class StepsLaw(AdditiveLaw):
    """E + A N^-alpha + B S^-beta + G batch^-gamma, S = D / batch steps.

    At given D the optimal batch is b0 D^(beta / (beta + gamma)), where the law is chinchilla with the exponent
    beta gamma / (beta + gamma) of D.
    """

    def terms(self, theta: Array, inputs: Inputs) -> list[Term]:
        """Return the three terms, the second in the steps."""
        return AdditiveLaw.terms(self, theta, {**inputs, "D": inputs["D"] - inputs["batch"]})

    def scale(self, params: Mapping[str, Any], units: Units) -> Array:
        """Turn physical parameters into the inner vector."""
        return AdditiveLaw.scale(self, params, _with_steps(units))

    def unscale(self, theta: Array, units: Units) -> Array:
        """Turn inner vectors into physical parameters."""
        return AdditiveLaw.unscale(self, theta, _with_steps(units))

    def elasticity(self, theta: Array, inputs: Inputs, name: str) -> Array:
        """Return d log f / d log of one input; at fixed batch, D changes the number of steps."""
        slope = AdditiveLaw.elasticity(self, theta, inputs, name)
        return slope - AdditiveLaw.elasticity(self, theta, inputs, "D") if name == "batch" else slope

    def tradeoff(self, params: Mapping[str, Array]) -> tuple[Array, Array, Array, Array]:
        """Return (A, B, alpha, beta) of the optimum at the optimal batch of each D."""
        beta, gamma = params["beta"], params["gamma"]
        with np.errstate(all="ignore"):
            b0 = np.exp(_log_batch(params))
            B = params["B"] * b0**beta + params["G"] * b0**-gamma
            return params["A"], B, params["alpha"], beta * gamma / (beta + gamma)

    def others(self, params: Mapping[str, Array], log_N: Array, log_D: Array) -> dict[str, Array]:
        """Return the log of the optimal batch for each D."""
        power = params["beta"] / (params["beta"] + params["gamma"])
        return {"batch": _log_batch(params)[:, None] + power[:, None] * log_D}


def _log_batch(params: Mapping[str, Array]) -> Array:
    """Return the log of the optimal batch at D = 1."""
    beta, gamma = params["beta"], params["gamma"]
    with np.errstate(all="ignore"):
        return np.log(gamma * params["G"] / (beta * params["B"])) / (beta + gamma)


def _with_steps(units: Units) -> Units:
    """Return the units with the centre of the steps in place of that of D."""
    return Units({**units.log_inputs, "D": units.log_inputs["D"] - units.log_inputs["batch"]}, units.log_y)


STEPS = sum_of_powers(
    "steps",
    (Power("A", "alpha", "N"), Power("B", "beta", "D"), Power("G", "gamma", "batch")),
    StepsLaw,
    formula="E + A N^-alpha + B (D/batch)^-beta + G batch^-gamma",
    source="own form of the three terms of Schaipp 2026, arXiv 2607.01487",
)
