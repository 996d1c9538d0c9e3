"""The base of stages that only evaluate the parent's network, with its own head, on the test set."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from scaling.accounting import count
from scaling.config import RunConfig
from scaling.errors import UserError
from scaling.plan.planned import PlannedRun
from scaling.plan.quantities import Quantities, at_once
from scaling.stages.base import Stage
from scaling.stages.parents import check_classes, check_parent, layers_of

if TYPE_CHECKING:
    from scaling.train.attempt import PlacedRun
    from scaling.train.feed.run_data import RunData


def label_file(root: str, labels: str) -> Path:
    """Return the path of a file of label lists: below `root`, unless it is absolute."""
    return Path(root).expanduser() / Path(labels).expanduser()


@dataclass(frozen=True)
class EvaluationStage(Stage):
    """Evaluate a network without training; no compute is counted."""

    fits: ClassVar[bool] = False

    def quantities(self, config: RunConfig, parent: PlannedRun | None) -> Quantities:
        """Count the network; UserError if the data has other classes than its head, or no classes."""
        parent = check_parent(config, parent)
        check_classes(config, parent)
        if config.data.metric != "cross_entropy":
            raise UserError(
                f"found stage={config.stage.name} with data={config.data.name}, a regression; wanted classes; "
                f"choose another stage"
            )
        return at_once(count(layers_of(parent, config.data.outputs)))

    def load(self, placed: PlacedRun) -> RunData:
        """Copy the test set to the device."""
        from scaling.stages.predict import load_test_set

        return load_test_set(placed.run.config, placed.device)
