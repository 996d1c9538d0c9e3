"""Exact least squares: the optimum that steps of a `linear` model can only approach."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from scaling.config import RunConfig
from scaling.errors import UserError


@dataclass(frozen=True)
class LeastSquares:
    """Solve for the weights of a `linear` model in float64 instead of stepping towards them.

    A milestone at D examples is the exact solution for the first D examples of the run, each of which is read once.
    Where the examples do not determine the weights (D below the width), the solution of least norm is taken.
    """

    name: ClassVar[str] = "lstsq"


def check_solvable(config: RunConfig, epochs: float) -> None:
    """Raise UserError for a run without an exact solution."""
    if config.model.family != "linear" or config.data.metric != "squared_error":
        raise UserError(
            f"found optim=lstsq with model={config.model.family} and data={config.data.name}; "
            f"wanted model=linear on a regression; choose another optim"
        )
    if epochs > 1:
        raise UserError(
            f"found {epochs:g} epochs with optim=lstsq, which reads each example once; "
            f"wanted at most 1; set train.epochs=1"
        )
