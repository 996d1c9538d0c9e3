"""ReaL accuracy: a prediction is right if it is among the labels that an image may have (arXiv 2006.07159)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from scaling.config import part
from scaling.stages.evaluation import EvaluationStage, label_file

if TYPE_CHECKING:
    from scaling.train.attempt import Attempt
    from scaling.train.evaluation import Evaluation


@dataclass(frozen=True)
class RealLabels(EvaluationStage):
    """Evaluate the network against lists of labels, one a test example; examples with an empty list are left out.

    labels: a JSON file, a list of lists of classes; or an .npz with `labels` (n, classes) of 0 and 1, or with all
    classes one after the other in `labels` and how many each example has in `lengths`; root: the folder of the file.
    The examples are in the order of the data's test split, or of the file names of all images that it was taken from,
    as in ReaL's own real.json for ImageNet's validation images. The loss is -log of the probability of the whole list.
    """

    name: ClassVar[str] = "real"

    labels: str
    root: str = part(".", identity=False)

    def files(self) -> tuple[Path, ...]:
        """Return the file of label lists."""
        return (label_file(self.root, self.labels),)

    def perform(self, attempt: Attempt) -> Evaluation | None:
        """Evaluate the network; None if the attempt was stopped."""
        from scaling.stages.predict import evaluate_network

        return evaluate_network(attempt, crops=None, labels=self.files()[0])
