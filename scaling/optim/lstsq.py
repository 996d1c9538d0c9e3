"""Exact least squares: the optimum that no number of steps of a `linear` model can pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class LeastSquares:
    """Solve for the weights of a `linear` model in float64 instead of stepping towards them.

    A milestone at D examples is the exact solution on the first D examples that the run meets, and it reads
    each example once. Weights that the examples leave open (D below the width) take the solution of least norm.
    """

    name: ClassVar[str] = "lstsq"
