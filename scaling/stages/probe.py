"""Linear probe: a head trained on the features of a frozen body."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from scaling.accounting import body_of, count, head_of_features
from scaling.config import RunConfig
from scaling.errors import UserError
from scaling.plan.planned import PlannedRun
from scaling.plan.quantities import Quantities, compute_quantities
from scaling.stages.base import Stage
from scaling.stages.parents import check_parent, features_of, layers_of, required_subset_size

if TYPE_CHECKING:
    from scaling.train.attempt import Attempt, PlacedRun
    from scaling.train.feed.run_data import RunData
    from scaling.train.learner import Learner


@dataclass(frozen=True)
class Probe(Stage):
    """Train a linear head, from zero, by the run's own recipe; the body is frozen and its features computed once."""

    name: ClassVar[str] = "probe"
    trains: ClassVar[bool] = True
    featured: ClassVar[bool] = True
    stackable: ClassVar[bool] = True

    def quantities(self, config: RunConfig, parent: PlannedRun | None) -> Quantities:
        """Count the head's training and one pass of the body; UserError if the features would change."""
        parent = check_parent(config, parent)
        required_subset_size(config)
        if config.augment.name != "none":
            raise UserError(
                f"found augment={config.augment.name} with stage=probe, whose features are computed once; "
                f"wanted augment=none; change it, or take stage=finetune with optim.body_share=0"
            )
        outputs = config.data.outputs
        features_of(config, parent)
        layers = layers_of(parent, outputs)
        return compute_quantities(config, counts=count(head_of_features(layers)), once=body_of(layers).forward_flops)

    def load(self, placed: PlacedRun) -> RunData:
        """Bring the features to the device, from the cache if they are there."""
        from scaling.stages.features import feature_sets

        return feature_sets(placed)

    def learner(self, attempt: Attempt) -> Learner:
        """Return the head."""
        from scaling.stages.networks import head_learner

        return head_learner(attempt)
