"""Training from scratch: the stage of every run that starts from nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from scaling.stages.base import Stage, Stop, Watch

if TYPE_CHECKING:
    from scaling.config import RunConfig
    from scaling.plan.planned import PlannedRun
    from scaling.plan.quantities import Quantities
    from scaling.train.attempt import Attempt
    from scaling.train.examiner import Verdict


@dataclass(frozen=True)
class FromScratch(Stage):
    """Train a model from its initialisation."""

    name: ClassVar[str] = "train"
    trains: ClassVar[bool] = True
    begins: ClassVar[bool] = True

    def quantities(self, config: RunConfig, parent: PlannedRun | None) -> Quantities:
        """Turn the length that is given into steps, examples and FLOPs; UserError where a parent is given."""
        from scaling.errors import UserError
        from scaling.plan.quantities import compute_quantities

        if config.parent is not None:
            raise UserError(
                f"found parent.run_id={config.parent.run_id} with stage=train, which starts from nothing; "
                f"choose another stage, or drop the parent"
            )
        return compute_quantities(config)

    def perform(self, attempt: Attempt, *, watch: Watch, stop: Stop) -> Verdict | None:
        """Train step by step, or solve at once where the optimiser is least squares."""
        from scaling.optim.lstsq import LeastSquares
        from scaling.train.solve import check_solvable, solve
        from scaling.train.stepping import step_through

        if isinstance(attempt.run.config.optim, LeastSquares):
            check_solvable(attempt.run)
            return solve(attempt)
        return step_through(attempt, watch=watch, stop=stop)
