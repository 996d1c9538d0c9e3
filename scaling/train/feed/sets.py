"""The data of a run on its device: what it trains on and what it is evaluated on."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from scaling.data.base import Arrays, Splits, Stream
from scaling.plan.planned import PlannedRun
from scaling.train.feed.feed import Chunks, Feed, epoch_feed
from scaling.train.feed.resident import Examples, bring
from scaling.train.feed.scale import scale_of
from scaling.train.sizes import TRAIN_EXAMPLES


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
        feed = epoch_feed(bring(first, scale, device, reads=quantities.D), seed=config.seed)
    sample = Arrays(first.x[:TRAIN_EXAMPLES], first.y[:TRAIN_EXAMPLES])
    train, validation, test = (
        bring(arrays, scale, device, reads=len(arrays)) for arrays in (sample, splits.validation, splits.test)
    )
    return Sets(feed, train, validation, test, splits)
