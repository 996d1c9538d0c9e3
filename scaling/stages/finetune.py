"""Fine-tuning: a new head on a pre-trained body, both trained on."""

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
class FineTune(Stage):
    """Train the parent's network on, with a head for the run's own classes that starts as models start it.

    Images are brought to the size that the network reads on the device (bilinear); `optim.body_share` is what all but
    the head takes of the learning rate, `train.clip` the largest norm of a gradient.
    """

    name: ClassVar[str] = "finetune"
    trains: ClassVar[bool] = True

    def quantities(self, config: RunConfig, parent: PlannedRun | None) -> Quantities:
        """Count the network with its new head at the size that it reads."""
        from scaling.accounting import count
        from scaling.plan.quantities import compute_quantities
        from scaling.stages.parents import check_parent, features_of, layers_of

        parent = check_parent(config, parent)
        features_of(config, parent)
        return compute_quantities(config, counts=count(layers_of(parent, config.data.outputs)))

    def perform(self, attempt: Attempt, *, watch: Watch, stop: Stop) -> Verdict | None:
        """Train step by step."""
        from scaling.stages.learners import network_learner
        from scaling.train.stepping import step_through

        return step_through(attempt, watch=watch, stop=stop, learner=network_learner(attempt))
