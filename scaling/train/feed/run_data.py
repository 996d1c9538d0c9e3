"""The training and evaluation data of a run on its device."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod

import torch

from scaling.config import RunConfig
from scaling.data.base import Arrays, DataSet, Splits, Stream
from scaling.data.check import check_arrays, check_finite, check_number, checked
from scaling.data.memory import stays_in_file
from scaling.data.read_again import read_twice
from scaling.errors import UserError
from scaling.global_streams import own_streams
from scaling.plan.quantities import Quantities
from scaling.security.modules import is_shipped
from scaling.train.feed.feed import Batches, Chunks, Epochs, Feed, batches
from scaling.train.feed.normalisation import normalisation_of
from scaling.train.feed.resident import Examples, bring
from scaling.train.sizes import TRAIN_EXAMPLES
from scaling.train.streams import derive_seed

_read: set[DataSet] = set()  # users' data sets that were read a second time in this process


@dataclass(frozen=True)
class RunData:
    """A run's data on its device: the feed to train on, and the three sets to evaluate on."""

    feed: Feed
    train: Examples
    validation: Examples
    test: Examples
    splits: Splits

    def batches(self, batch: int) -> Batches:
        """Return the training examples in batches of this size."""
        return batches(self.feed, batch=batch, features=prod(self.test.x.shape[1:]), device=self.test.device)


def load_run_data(config: RunConfig, quantities: Quantities, device: torch.device) -> RunData:
    """Load a run's data and copy it to the device."""
    splits = load_splits(config, None if quantities.fresh else quantities.D_unique)
    scale = normalisation_of(splits, config.data.shape, device)
    if isinstance(splits.train, Stream):
        first = splits.train.first(max(quantities.D, TRAIN_EXAMPLES))
        feed: Feed = Chunks(splits.train, first, scale, device, until=quantities.D)
        sample = first.part(0, TRAIN_EXAMPLES)
    else:
        feed = Epochs(bring(splits.train, scale, device, reads=quantities.D), seed=config.seed)
        sample = splits.train.part(0, TRAIN_EXAMPLES)
    train, validation, test = (
        bring(arrays, scale, device, reads=len(arrays)) for arrays in (sample, splits.validation, splits.test)
    )
    return RunData(feed, train, validation, test, splits)


def load_splits(config: RunConfig, D_unique: int | None) -> Splits:
    """Load a run's data; its draws from global streams depend only on its seeds and the number of a chunk."""
    data, seed = config.data, config.seed
    splits = _loaded(config, D_unique) if is_shipped(data.load) else _own_splits(config, D_unique)
    validation, test = checked(data, "validation", splits.validation), checked(data, "test", splits.test)
    train = splits.train
    if isinstance(train, Stream):
        train = _drawn(train, data, seed)
    elif isinstance(train, Arrays):  # the file of picked ones was checked when it was opened
        train = checked(data, "train", train)
    return replace(splits, train=train, validation=validation, test=test)


def _loaded(config: RunConfig, D_unique: int | None) -> Splits:
    with own_streams(derive_seed(config.data.seed, "data")):
        splits: Splits = config.data.load(D_unique, stream_seed=config.seed)
    return splits


def _own_splits(config: RunConfig, D_unique: int | None) -> Splits:
    """Load data by the user's own `load`; UserError if it does not keep to what it is asked for, each time."""
    data = config.data

    def load() -> tuple[Splits, Arrays | None]:
        splits = _loaded(config, D_unique)
        train = splits.train
        return splits, _drawn(train, data, config.seed).draw(0) if isinstance(train, Stream) else None

    splits, _ = load() if data in _read else read_twice(data.name, load)
    _read.add(data)
    train = splits.train
    if isinstance(train, Stream) != (D_unique is None):
        found, wanted = ("a Stream", f"{D_unique:,} examples") if D_unique else ("no Stream", "one, of fresh examples")
        raise UserError(f"found {found} that {data.name} loads; wanted {wanted}, as its size says; mend its load")
    if not isinstance(train, Stream):
        check_number(data, train, D_unique or 0)
    for split, part in (("train", train), ("validation", splits.validation), ("test", splits.test)):
        if isinstance(part, Arrays):
            check_arrays(data, split, part)
            if not stays_in_file(part.x):
                check_finite(data, split, part)
    return splits


def _drawn(stream: Stream, data: DataSet, seed: int) -> Stream:
    """Return the stream with its draws checked and, if they use the global streams, seeded for each chunk."""

    def draw(i: int) -> Arrays:
        if stream.thread_safe:
            return checked(data, "drawn", stream.draw(i))
        with own_streams(derive_seed(seed, "chunk", data.seed, i)):
            drawn = checked(data, "drawn", stream.draw(i))
        check_number(data, drawn, stream.chunk)
        check_finite(data, "drawn", drawn)
        return drawn

    def begin(n: int) -> Arrays:
        assert stream.begin is not None, "it is asked only of streams that have it"
        with own_streams(derive_seed(seed, "chunk", data.seed, 0)):
            return checked(data, "drawn", stream.begin(n))

    return replace(stream, draw=draw, begin=None if stream.begin is None else begin)
