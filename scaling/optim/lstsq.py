"""Exact least squares: the optimum that steps of a `linear` model can only approach."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class LeastSquares:
    """Solve for the weights of a `linear` model in float64 instead of stepping towards them.

    A milestone at D examples is the exact solution for the first D examples of the run, each of which is read once.
    Where the examples do not determine the weights (D below the width), the solution of least norm is taken.
    """

    name: ClassVar[str] = "lstsq"
