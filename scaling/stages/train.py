"""Training from scratch: the stage of every run that starts from no other run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from scaling.config import RunConfig
from scaling.errors import UserError
from scaling.optim.lstsq import LeastSquares, check_solvable
from scaling.plan.planned import PlannedRun
from scaling.plan.quantities import Quantities, compute_quantities
from scaling.stages.base import Stage

if TYPE_CHECKING:
    from scaling.train.attempt import Attempt
    from scaling.train.evaluation import Evaluation


@dataclass(frozen=True)
class FromScratch(Stage):
    """Train a model from its initialisation."""

    name: ClassVar[str] = "train"
    trains: ClassVar[bool] = True
    begins: ClassVar[bool] = True
    stackable: ClassVar[bool] = True

    def quantities(self, config: RunConfig, parent: PlannedRun | None) -> Quantities:
        """Turn the length that is given into steps, examples and FLOPs; UserError if a parent is given."""
        if config.parent is not None:
            raise UserError(
                f"found parent.run_id={config.parent.run_id} with stage=train, which starts from no other run; "
                f"choose another stage, or drop the parent"
            )
        found = compute_quantities(config)
        if isinstance(config.optim, LeastSquares):
            check_solvable(config, found.epochs)
        return found

    def perform(self, attempt: Attempt) -> Evaluation | None:
        """Train step by step, or solve exactly if the optimiser is least squares."""
        from scaling.train.solve import solve

        if isinstance(attempt.run.config.optim, LeastSquares):
            return solve(attempt)
        return super().perform(attempt)
