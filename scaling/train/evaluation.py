"""Evaluate a run at a milestone, and decide whether it has diverged or is at chance."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import hypot, isfinite, nan

from torch import nn

from scaling.data.base import Splits
from scaling.global_streams import own_streams
from scaling.models.blocks import LinearMap
from scaling.plan.planned import PlannedRun
from scaling.record import Point
from scaling.train.feed.run_data import RunData
from scaling.train.losses import Score, score
from scaling.train.streams import derive_seed

ABOVE = 3  # standard errors above chance: diverged
AROUND = 2  # standard errors around chance: at_chance
ROUNDING = 1e-6  # relative, of float32: a model at exactly chance is at chance even where the standard error is zero


@dataclass(frozen=True)
class Evaluation:
    """The scores of a model on the test set (or the whole population), the validation set and training examples."""

    test: Score
    validation: Score
    train: Score


NOT_FINITE = Evaluation(*[Score(nan, nan)] * 3)  # for a model whose weights or losses are no longer finite


def evaluate(run: PlannedRun, sets: RunData, module: nn.Module) -> Evaluation:
    """Evaluate a model on its test, validation and training examples.

    Where the data set can compute the expected loss of a linear map, that is the test loss. A module that draws random
    numbers in evaluation draws the same ones at every milestone, and none from the streams of training.
    """
    population = sets.splits.population_loss
    with own_streams(derive_seed(run.config.seed, "evaluation")):
        if population is not None and isinstance(module, LinearMap):
            weights = module.head.weight.detach().double().cpu().numpy()[0]
            test = Score(population(weights), 0.0)
        else:
            test = score(module, sets.test, run.config)
        validation, train = (score(module, examples, run.config) for examples in (sets.validation, sets.train))
        return Evaluation(test, validation, train)


def make_point(run: PlannedRun, evaluation: Evaluation, *, step: int, lr: float | None, final: bool) -> Point:
    """Return the point of a milestone for the record."""
    return Point(
        **{**asdict(run.quantities.at(step)), "final": final},
        loss=evaluation.test.loss,
        loss_se=evaluation.test.loss_se,
        error=evaluation.test.error,
        error_se=evaluation.test.error_se,
        val_loss=evaluation.validation.loss,
        val_error=evaluation.validation.error,
        train_loss=evaluation.train.loss,
        lr=lr,
    )


def has_diverged(evaluation: Evaluation, splits: Splits) -> bool:
    """Return whether a loss is not finite, or the training loss is above chance by more than 3 standard errors."""
    train = evaluation.train
    margin = ABOVE * hypot(train.loss_se or 0.0, splits.chance_se or 0.0) + ROUNDING * splits.chance
    return not train.loss <= splits.chance + margin or not isfinite(evaluation.test.loss)


def is_at_chance(evaluation: Evaluation, splits: Splits) -> bool:
    """Return whether the test loss is within 2 standard errors of chance, the loss of the constant predictor."""
    margin = AROUND * hypot(evaluation.test.loss_se or 0.0, splits.chance_se or 0.0) + ROUNDING * splits.chance
    return abs(evaluation.test.loss - splits.chance) <= margin
