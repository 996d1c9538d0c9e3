"""Chinchilla with a rising term for repeated examples: more epochs can make the loss worse."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from analysis.laws.additive import AdditiveLaw, Power, Term
from analysis.laws.base import Array, Bound, Inputs, Units, between
from analysis.laws.joint import CHINCHILLA, ChinchillaLaw

FEWEST = 1e-6
"""Number of repeats below which examples count as not repeated."""
NOTHING = -1e4
"""Log of the repetition term for runs without repeats."""


@dataclass(frozen=True)
class OverfitLaw(ChinchillaLaw):
    """E + A N^-alpha + B D^-beta + G R^rho (N/D_unique)^nu, R = D / D_unique - 1 repeats."""

    def terms(self, theta: Array, inputs: Inputs) -> list[Term]:
        """Return chinchilla's terms and that of the repeats."""
        g, rho, nu = (row[:, None] for row in theta[5:])
        repeats = np.expm1(np.maximum(inputs["D"] - inputs["D_unique"], 0.0))
        some = repeats > FEWEST
        log_R = np.where(some, np.log(np.where(some, repeats, 1.0)), 0.0)
        load = np.where(some, inputs["N"] - inputs["D_unique"], 0.0)
        u = np.where(some, g + rho * log_R + nu * load, NOTHING)
        return [*AdditiveLaw.terms(CHINCHILLA, theta[:5], inputs), Term((5, 6, 7), u, (1.0, log_R, load), {})]

    def scale(self, params: Mapping[str, Array], units: Units) -> Array:
        """Turn physical parameters into the inner vector."""
        plain = CHINCHILLA.scale(params, units)
        G, rho, nu = (np.asarray(params[name], dtype=float) for name in self.params[5:])
        return np.concatenate([plain, np.stack([np.log(G) + nu * self._load(units) - units.log_y, rho, nu])])

    def unscale(self, theta: Array, units: Units) -> Array:
        """Turn inner vectors into physical parameters."""
        g, rho, nu = theta[5:]
        with np.errstate(over="ignore"):
            G = np.exp(g - nu * self._load(units) + units.log_y)
        return np.concatenate([CHINCHILLA.unscale(theta[:5], units), np.stack([G, rho, nu])])

    def shapes(self, inputs: Inputs, u: Array) -> Array:
        """Draw the exponents."""
        theta = np.zeros((8, u.shape[1]))
        theta[3], theta[4] = between(u[0], 0.05, 2.0), between(u[1], 0.05, 2.0)
        theta[6], theta[7] = between(u[2], 0.2, 3.0), -0.5 + 2 * u[3]
        return theta

    def lacks(self, inputs: Inputs) -> str:
        """Report if no run repeats its examples."""
        repeated = inputs["D"] > inputs["D_unique"] * (1 + FEWEST)
        return "" if repeated.any() else "no run that repeats examples (D above D_unique); fit chinchilla"

    def _load(self, units: Units) -> float:
        """Return the centre of log N / D_unique."""
        return float(units.log_inputs["N"] - units.log_inputs["D_unique"])


OVERFIT = OverfitLaw(
    name="overfit",
    params=("E", "A", "B", "alpha", "beta", "G", "rho", "nu"),
    inputs=("N", "D", "D_unique"),
    formula="E + A N^-alpha + B D^-beta + G (D/D_unique - 1)^rho (N/D_unique)^nu",
    source="own form of the overfitting penalty of Lovelace et al. 2026, arXiv 2605.01640",
    bounds={
        **CHINCHILLA.bounds,
        "G": Bound(-30.0, 30.0),
        "rho": Bound(0.0, 10.0, at_low="more repeats cost no more, and repeated fits the same"),
        "nu": Bound(-5.0, 5.0),
    },
    exponents={"alpha": "N", "beta": "D", "rho": "D", "nu": "N"},
    centred_with={"D_unique": "D"},
    powers=(*CHINCHILLA.powers, Power("G", "rho", "D")),
)
