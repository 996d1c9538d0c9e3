"""Fine-tuning: a new head on a pre-trained body, and both are trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from scaling.accounting import count, head_alone
from scaling.config import RunConfig
from scaling.plan.planned import PlannedRun
from scaling.plan.quantities import Quantities, compute_quantities
from scaling.stages.base import Stage
from scaling.stages.parents import check_parent, features_of, layers_of

if TYPE_CHECKING:
    from scaling.train.attempt import Attempt
    from scaling.train.learner import Learner


def trains_head_alone(config: RunConfig) -> bool:
    """Return whether only the head is trained, because body_share is 0."""
    return getattr(config.optim, "body_share", 1.0) == 0


@dataclass(frozen=True)
class FineTune(Stage):
    """Train the parent's network further, with a head for the run's own classes that starts as models start it.

    Images are resized on the device to the size that the network reads (bilinear). optim.body_share: factor of the
    learning rate for all except the head (0: only the head is trained, and the body stays in evaluation mode, including
    batch norms and dropout); train.clip: largest norm of a gradient.
    """

    name: ClassVar[str] = "finetune"
    trains: ClassVar[bool] = True
    stackable: ClassVar[bool] = True

    def quantities(self, config: RunConfig, parent: PlannedRun | None) -> Quantities:
        """Count the network with its new head at the size that it reads."""
        parent = check_parent(config, parent)
        features_of(config, parent)
        layers = layers_of(parent, config.data.outputs)
        return compute_quantities(config, counts=count(head_alone(layers) if trains_head_alone(config) else layers))

    def learner(self, attempt: Attempt) -> Learner:
        """Return the network with its new head."""
        from scaling.stages.networks import network_learner

        return network_learner(attempt, head_alone=trains_head_alone(attempt.run.config))
