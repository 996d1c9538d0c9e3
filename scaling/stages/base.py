"""The interface of a stage: how much it computes, which data it reads, and how it is run.

The modules of the stages import without torch, so that planning does not import it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from scaling.config import RunConfig
from scaling.data.base import DataSet, Metric
from scaling.plan.planned import PlannedRun
from scaling.plan.quantities import Quantities

if TYPE_CHECKING:
    from scaling.train.attempt import Attempt, PlacedRun
    from scaling.train.evaluation import Evaluation
    from scaling.train.feed.run_data import RunData
    from scaling.train.learner import Learner


@dataclass(frozen=True)
class Stage:
    """One kind of run; subclasses add their own keys.

    trains: it takes steps with an optimiser, so that the recipe of training is part of its identity; begins: it does
    not start from another run; fits: it fits something to training examples; featured: it reads its data only as the
    features of a frozen body; stackable: its steps can be taken together with those of other runs (docs/stacks.md).
    """

    name: ClassVar[str]
    trains: ClassVar[bool] = False
    begins: ClassVar[bool] = False
    fits: ClassVar[bool] = True
    featured: ClassVar[bool] = False
    stackable: ClassVar[bool] = False

    def quantities(self, config: RunConfig, parent: PlannedRun | None) -> Quantities:
        """Return the stage's quantities; UserError if it cannot start from its parent."""
        raise TypeError(f"{type(self).__name__} computes no quantities")

    def learner(self, attempt: Attempt) -> Learner | None:
        """Return what is trained, None for the config's freshly initialised model."""
        return None

    def metric(self, data: DataSet) -> Metric:
        """Return the name of the loss that the stage reports."""
        return data.metric

    def files(self) -> tuple[Path, ...]:
        """Return the files that the stage reads besides its data."""
        return ()

    def load(self, placed: PlacedRun) -> RunData:
        """Copy the stage's data to the device."""
        from scaling.train.feed.run_data import load_run_data

        return load_run_data(placed.run.config, placed.run.quantities, placed.device)

    def perform(self, attempt: Attempt) -> Evaluation | None:
        """Train the `learner` step by step, and return the last evaluation, None if the attempt was stopped."""
        from scaling.train.train_by_steps import train_by_steps

        return train_by_steps(attempt, self.learner(attempt))
