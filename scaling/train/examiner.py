"""Taking the points of a run: its data on the device, and what a model scores on it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import hypot, nan

import torch
from torch import nn

from scaling.data.base import Arrays, Splits, Stream
from scaling.models.blocks import LinearMap
from scaling.plan.identity import resolved_precision
from scaling.plan.planned import PlannedRun
from scaling.record import Point
from scaling.train.evaluate import Score, score
from scaling.train.feed.feed import Chunks, Feed, epochs
from scaling.train.feed.resident import Examples, put
from scaling.train.feed.scale import scale_of
from scaling.train.sizes import TRAIN_EXAMPLES

ABOVE = 3  # standard errors above chance: diverged
AROUND = 2  # standard errors around chance: at_chance
ROUNDING = 1e-6  # relative, of float32: a model at exactly chance is at chance even where the standard error is zero


@dataclass(frozen=True)
class Sets:
    """A data set on the device: the feed to train on, and the three sets to evaluate on."""

    feed: Feed
    train: Examples
    validation: Examples
    test: Examples
    splits: Splits


def load_sets(run: PlannedRun, device: torch.device) -> Sets:
    """Load a run's data and bring it to the device."""
    config, quantities = run.config, run.quantities
    splits = config.data.load(None if quantities.fresh else quantities.D_unique, stream_seed=config.seed)
    scale = scale_of(splits, config.data.shape, device)
    if isinstance(splits.train, Stream):
        first = splits.train.first(max(quantities.D, TRAIN_EXAMPLES))
        feed: Feed = Chunks(splits.train, first, scale, device)
    else:
        first = splits.train
        feed = epochs(put(first, scale, device, reads=quantities.D), seed=config.seed)
    sample = Arrays(first.x[:TRAIN_EXAMPLES], first.y[:TRAIN_EXAMPLES])
    train, validation, test = (
        put(arrays, scale, device, reads=len(arrays)) for arrays in (sample, splits.validation, splits.test)
    )
    return Sets(feed, train, validation, test, splits)


@dataclass(frozen=True)
class Verdict:
    """What a model scores: on the test set (or the whole population), the validation and the training examples."""

    test: Score
    validation: Score
    train: Score


LOST = Verdict(*[Score(nan, nan)] * 3)  # of a model that is no longer finite


def examine(run: PlannedRun, sets: Sets, module: nn.Module) -> Verdict:
    """Evaluate a model; where the data knows a linear map's expected loss, that stands for the test set's."""
    metric, bf16 = run.config.data.metric, resolved_precision(run.config) == "bf16"
    population = sets.splits.population_loss

    def scored(examples: Examples) -> Score:
        return score(module, examples, metric, bf16=bf16)

    if population is not None and isinstance(module, LinearMap):
        weights = module.head.weight.detach().double().cpu().numpy()[0]
        test = Score(population(weights), 0.0)
    else:
        test = scored(sets.test)
    return Verdict(test, scored(sets.validation), scored(sets.train))


def point(run: PlannedRun, verdict: Verdict, *, step: int, lr: float | None, final: bool) -> Point:
    """Write a verdict down as a milestone of the run."""
    return Point(
        **{**asdict(run.quantities.at(step)), "final": final},
        loss=verdict.test.loss,
        loss_se=verdict.test.loss_se,
        error=verdict.test.error,
        error_se=verdict.test.error_se,
        val_loss=verdict.validation.loss,
        val_error=verdict.validation.error,
        train_loss=verdict.train.loss,
        lr=lr,
    )


def has_diverged(verdict: Verdict, splits: Splits) -> bool:
    """Tell a model that is not finite, or whose training loss lies above chance by 3 standard errors."""
    train = verdict.train
    margin = ABOVE * hypot(train.loss_se, splits.chance_se) + ROUNDING * splits.chance
    return not train.loss <= splits.chance + margin or verdict.test.loss != verdict.test.loss


def is_at_chance(verdict: Verdict, splits: Splits) -> bool:
    """Tell a model whose test loss lies within 2 standard errors of that of the constant predictor."""
    margin = AROUND * hypot(verdict.test.loss_se, splits.chance_se) + ROUNDING * splits.chance
    return abs(verdict.test.loss - splits.chance) <= margin
