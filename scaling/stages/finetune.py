"""Fine-tuning: a new head on a pre-trained body, and both trained further."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from scaling.accounting import count
from scaling.config import RunConfig
from scaling.plan.planned import PlannedRun
from scaling.plan.quantities import Quantities, compute_quantities
from scaling.stages.base import Stage, Stop, Watch
from scaling.stages.parents import check_parent, features_of, layers_of

if TYPE_CHECKING:
    from scaling.train.attempt import Attempt
    from scaling.train.evaluation import Evaluation


@dataclass(frozen=True)
class FineTune(Stage):
    """Train the parent's network further, with a head for the run's own classes that starts as models start it.

    Images are resized on the device to the size that the network reads (bilinear). `optim.body_share`: what all but the
    head takes of the learning rate; `train.clip`: largest norm of a gradient.
    """

    name: ClassVar[str] = "finetune"
    trains: ClassVar[bool] = True

    def quantities(self, config: RunConfig, parent: PlannedRun | None) -> Quantities:
        """Count the network with its new head at the size that it reads."""
        parent = check_parent(config, parent)
        features_of(config, parent)
        return compute_quantities(config, counts=count(layers_of(parent, config.data.outputs)))

    def perform(self, attempt: Attempt, *, watch: Watch, stop: Stop) -> Evaluation | None:
        """Train step by step."""
        from scaling.stages.learners import network_learner
        from scaling.train.stepping import train_by_steps

        return train_by_steps(attempt, watch=watch, stop=stop, learner=network_learner(attempt))
