"""Laws in N and D together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from analysis.laws.additive import AdditiveLaw, Power
from analysis.laws.base import COEFFICIENT, EXPONENT, FLOOR, Array


@dataclass(frozen=True)
class ChinchillaLaw(AdditiveLaw):
    """E + A N^-alpha + B D^-beta."""

    def tradeoff(self, params: Mapping[str, Array]) -> tuple[Array, Array, Array, Array]:
        """Return the parameters that decide the optimum."""
        return params["A"], params["B"], params["alpha"], params["beta"]


CHINCHILLA = ChinchillaLaw(
    name="chinchilla",
    params=("E", "A", "B", "alpha", "beta"),
    inputs=("N", "D"),
    formula="E + A N^-alpha + B D^-beta",
    source="Hoffmann et al. 2022, arXiv 2203.15556",
    bounds={"E": FLOOR, "A": COEFFICIENT, "B": COEFFICIENT, "alpha": EXPONENT, "beta": EXPONENT},
    powers=(Power("A", "alpha", "N"), Power("B", "beta", "D")),
)
