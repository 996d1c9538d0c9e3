"""Test-time augmentation: the mean prediction over random crops and flips of each test image."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import PositiveInt

from scaling.augment.standard import Standard
from scaling.config import RunConfig, Share, part
from scaling.errors import UserError
from scaling.plan.planned import PlannedRun
from scaling.plan.quantities import Quantities
from scaling.stages.evaluation import EvaluationStage, label_file

if TYPE_CHECKING:
    from scaling.train.attempt import Attempt
    from scaling.train.evaluation import Evaluation


@dataclass(frozen=True)
class TestTimeAugmentation(EvaluationStage):
    """Evaluate the mean over `crops` random resized crops, each mirrored with probability `flip`, of every test image.

    average: what the mean is taken of; scale: share of the area that a crop has, from and to; ratio: its width /
    height, from and to. Crops are drawn from the run's own random stream. labels: a file of label lists (see
    stage=real) in place of the data's own labels; root: its folder.
    """

    __test__: ClassVar[bool] = False  # not a test, whatever its name says
    name: ClassVar[str] = "tta"

    crops: PositiveInt = 100
    average: Literal["logits", "probabilities"] = "probabilities"
    scale: tuple[Share, Share] = (0.4, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    flip: Share = 0.5
    labels: str | None = None
    root: str = part(".", identity=False)

    def quantities(self, config: RunConfig, parent: PlannedRun | None) -> Quantities:
        """Count the network; UserError for data that are not images."""
        if len(config.data.shape) != 3:
            raise UserError(
                f"found stage=tta with data={config.data.name}, whose examples of shape {tuple(config.data.shape)} are "
                f"no images to crop or flip; wanted images; choose another stage"
            )
        return super().quantities(config, parent)

    def files(self) -> tuple[Path, ...]:
        """Return the file of label lists, if there is one."""
        return () if self.labels is None else (label_file(self.root, self.labels),)

    def perform(self, attempt: Attempt) -> Evaluation | None:
        """Evaluate the network; None if the attempt was stopped."""
        from scaling.stages.predict import Crops, evaluate_network

        augmentation = Standard(scale=self.scale, ratio=self.ratio, flip=self.flip, mixup=0.0)
        crops = Crops(self.crops, self.average, augmentation)
        return evaluate_network(attempt, crops=crops, labels=next(iter(self.files()), None))
