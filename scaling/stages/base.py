"""What every stage knows of itself: how much it does, which data it meets, and how it is performed.

The modules of the stages import without torch, so that planning does not start it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    import torch

    from scaling.config import RunConfig
    from scaling.data.base import DataSet, Metric
    from scaling.folders import RunFolder
    from scaling.plan.planned import PlannedRun
    from scaling.plan.quantities import Quantities
    from scaling.train.attempt import Attempt
    from scaling.train.callbacks import Progress
    from scaling.train.examiner import Sets, Verdict

Watch = Callable[["Progress"], None] | None
Stop = Callable[[], bool] | None


@dataclass(frozen=True)
class Stage:
    """One kind of run; subclasses add their own keys.

    `trains`: whether it takes steps with an optimiser, so that the recipe of training is part of what it is;
    `begins`: whether it starts from nothing; `fits`: whether it fits anything to training examples; `featured`: whether
    it sees its data through a frozen body alone.
    """

    name: ClassVar[str]
    trains: ClassVar[bool] = False
    begins: ClassVar[bool] = False
    fits: ClassVar[bool] = True
    featured: ClassVar[bool] = False

    def quantities(self, config: RunConfig, parent: PlannedRun | None) -> Quantities:
        """Say what the stage will do; UserError where it cannot start from its parent."""
        raise TypeError(f"{type(self).__name__} settles nothing")

    def metric(self, data: DataSet) -> Metric:
        """Name the loss that the stage reports."""
        return data.metric

    def files(self) -> tuple[Path, ...]:
        """Name the files that the stage reads beside its data."""
        return ()

    def load(self, run: PlannedRun, folder: RunFolder, device: torch.device) -> Sets:
        """Bring the stage's data to the device."""
        from scaling.train.examiner import load_sets

        return load_sets(run, device)

    def perform(self, attempt: Attempt, *, watch: Watch, stop: Stop) -> Verdict | None:
        """Do what the stage does and return the last verdict, None where `stop` asked for an end."""
        raise TypeError(f"{type(self).__name__} does nothing")
