"""Ridge regression on the features of a frozen body, in closed form: a linear probe without a recipe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field, PositiveFloat, PositiveInt

from scaling.accounting import body_of, closed_form_C, count, dense
from scaling.config import RunConfig
from scaling.data.base import DataSet, Metric
from scaling.errors import ImpossibleRun, UserError
from scaling.plan.planned import PlannedRun
from scaling.plan.quantities import Quantities, at_once
from scaling.stages.base import Stage
from scaling.stages.parents import check_parent, features_of, layers_of, required_subset_size

if TYPE_CHECKING:
    from scaling.train.attempt import Attempt, PlacedRun
    from scaling.train.evaluation import Evaluation
    from scaling.train.feed.run_data import RunData

PENALTIES = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0)


@dataclass(frozen=True)
class Ridge(Stage):
    """Fit one-hot labels (or the targets of a regression) by ridge regression with an intercept.

    shots: examples of each class, drawn from the run's own random stream (null: the whole subset); penalties: tried
    in turn, in units of the features' mean variance x examples; the one with the least error on the validation set is
    taken (with the least loss where errors are equal). The loss is the squared error summed over the classes.
    """

    name: ClassVar[str] = "ridge"
    featured: ClassVar[bool] = True

    shots: PositiveInt | None = None
    penalties: Annotated[tuple[PositiveFloat, ...], Field(min_length=1)] = PENALTIES

    def quantities(self, config: RunConfig, parent: PlannedRun | None) -> Quantities:
        """Count the fit and one pass of the body over its examples."""
        parent = check_parent(config, parent)
        pool, data = required_subset_size(config), config.data
        D = pool if self.shots is None else self.shots * data.outputs
        if self.shots is not None and not data.has_error:
            raise UserError(
                f"found stage.shots={self.shots} with data={data.name}, a regression; wanted classes, of each of which "
                f"so many examples are taken; give data.size instead"
            )
        if pool < D:
            raise ImpossibleRun(
                f"found stage.shots={self.shots} of {data.outputs} classes; wanted at most the {pool} examples of the "
                f"training subset; lower stage.shots or raise data.size"
            )
        features = features_of(config, parent)
        body = body_of(layers_of(parent, data.outputs)).forward_flops
        C = body * D + closed_form_C(D, features, data.outputs)
        head = count([dense(features, data.outputs, role="head", first=True)])
        return at_once(head, D=D, D_unique=pool, C=C)

    def metric(self, data: DataSet) -> Metric:
        """Return the squared error."""
        return "squared_error"

    def load(self, placed: PlacedRun) -> RunData:
        """Bring the features to the device, from the cache if they are there, with chance in squared error."""
        from scaling.stages.closed_form import with_chance
        from scaling.stages.features import feature_sets

        return with_chance(feature_sets(placed), placed.run.config.data.outputs)

    def perform(self, attempt: Attempt) -> Evaluation | None:
        """Fit at once; there is nothing to stop."""
        from scaling.stages.closed_form import fit_and_evaluate

        return fit_and_evaluate(attempt)
