"""Features of a data set under a frozen body: computed once for each checkpoint and data set, and cached on disk.

results/features/KEY holds one array for each split, (examples, features) float32, written atomically. It is safe to
delete. If a run reads only a few training examples, their features are not cached, and KEY holds the other splits.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from torch import nn

from scaling.config import RunConfig
from scaling.content.digest import digest_of, joined
from scaling.content.run_content import code_of
from scaling.data.base import SPLITS, Arrays, Picked, Splits, Stream
from scaling.data.memory import MEMORY, load_array
from scaling.errors import UserError
from scaling.folders import atomic_folder
from scaling.global_streams import own_streams
from scaling.models.custom import is_users_module
from scaling.stages.feature_cache import cached_splits, feature_key
from scaling.stages.networks import check_head, parent_network, replace_head, start_of, with_resize
from scaling.train.attempt import PlacedRun
from scaling.train.feed.feed import Epochs
from scaling.train.feed.normalisation import normalisation_of
from scaling.train.feed.resident import bring
from scaling.train.feed.run_data import RunData, load_splits
from scaling.train.precision import autocast, computed_precision
from scaling.train.sizes import EVALUATED_ROWS, TRAIN_EXAMPLES
from scaling.train.streams import derive_seed, stream

SEVERAL = 64  # examples: matrix products of fewer round differently


def feature_sets(placed: PlacedRun) -> RunData:
    """Return the features of a run's data under its parent's frozen body, on the device."""
    run = placed.run
    splits = load_splits(run.config, run.quantities.D_unique)
    used = replace(splits, train=training_examples(run.config, splits))
    found = features(placed, used)
    train, validation, test = (
        bring(Arrays(found[name], getattr(used, name).y), None, placed.device, reads=run.quantities.D)
        for name in SPLITS
    )
    sample = replace(train, x=train.x[:TRAIN_EXAMPLES], y=train.y[:TRAIN_EXAMPLES])
    return RunData(Epochs(train, seed=run.config.seed), sample, validation, test, splits)


def training_examples(config: RunConfig, splits: Splits) -> Arrays | Picked:
    """Return the training examples of a run: all, or `shots` of each class, drawn from the run's own random stream."""
    pool, shots = splits.train, getattr(config.stage, "shots", None)
    assert not isinstance(pool, Stream), "features are of a subset with an end"
    if shots is None:
        return pool
    order = torch.randperm(len(pool), generator=stream(config.seed, "shots")).numpy()
    labels = pool.y[order]
    counts = np.bincount(labels, minlength=config.data.outputs)
    if counts.min() < shots:
        raise UserError(
            f"found {counts.min()} examples of class {counts.argmin()} in the training subset; wanted "
            f"stage.shots={shots} of each class; lower stage.shots, or raise data.size"
        )
    return pool.picked(np.concatenate([order[labels == label][:shots] for label in range(config.data.outputs)]))


def features(placed: PlacedRun, splits: Splits) -> dict[str, np.ndarray]:
    """Return the features of each split, (examples, features) float32, computed unless they are in the cache."""
    run = placed.run
    names = cached_splits(run.config)
    precision = computed_precision(run.config, placed.device)
    cached = placed.folder.features / feature_key(
        run.config, run.quantities.D_unique, names, precision=precision, content=content_of_features(placed, splits)
    )
    found = _read(cached, splits, names)
    if found is None:
        body = _body(placed)
        with atomic_folder(cached) as temporary:  # replaces one that is damaged, or the same of another worker
            for name in names:
                _write(temporary / f"{name}.npy", _passes(placed, body, splits, name), rows=len(getattr(splits, name)))
        found = _read(cached, splits, names)
    if found is None:
        raise OSError(f"found features under {cached} that were changed while they were written; delete the folder")
    if "train" not in found:
        return {**found, "train": _of_few(placed, splits, _body(placed))}
    held = found
    return MEMORY.get(("features", str(cached)), names, lambda: held)  # one copy for the probes of a worker


def content_of_features(placed: PlacedRun, splits: Splits) -> str:
    """Return a digest of all that features depend on: the data, the body's weights, and the user's own code."""
    run = placed.run
    parent, step = start_of(run)
    weights = placed.folder.other(parent.run_id).kept_weights(step)
    data = run.config.data.digest() if splits.digest is None else splits.digest
    return joined([data, digest_of(weights), code_of(run.config)])


def _of_few(placed: PlacedRun, splits: Splits, body: nn.Module) -> np.ndarray:
    """Return the features of a few training examples, with the same rounding as among many."""
    few = splits.train
    assert isinstance(few, Arrays), "features are of a subset with an end"
    several = replace(splits, train=few.picked(np.resize(np.arange(len(few)), max(len(few), SEVERAL))))
    return np.concatenate(list(_passes(placed, body, several, "train")))[: len(few)]


def _read(cached: Path, splits: Splits, names: tuple[str, ...]) -> dict[str, np.ndarray] | None:
    """Return the cached features, None if there are none, or their number differs from that of the examples."""
    found = {}
    for name in names:
        try:
            array = load_array(cached / f"{name}.npy")
        except (OSError, ValueError, EOFError):
            return None
        if array.ndim != 2 or len(array) != len(getattr(splits, name)):
            return None
        found[name] = array
    return found


def _body(placed: PlacedRun) -> nn.Module:
    """Return the parent's network without its head; UserError if a user's has an output that is not its head's."""
    if is_users_module(placed.run.config.model):
        check_head(parent_network(placed, new_head=False), placed.run.input_shape)
    body = parent_network(placed, new_head=True)
    replace_head(body, nn.Identity())
    body = with_resize(body, placed)
    body.eval()
    return body


def _passes(placed: PlacedRun, body: nn.Module, splits: Splits, name: str) -> Iterator[np.ndarray]:
    """Yield the features of one split in blocks of examples; random draws of a body do not depend on the run's seed."""
    examples: Arrays | Picked = getattr(splits, name)
    run, device = placed.run, placed.device
    parent, _ = start_of(run)
    scale = normalisation_of(splits, run.config.data.shape, device)
    rows = EVALUATED_ROWS[device.type]
    with own_streams(derive_seed(parent.config.seed, "features", name)):
        for start in range(0, len(examples), rows):
            part = examples.part(start, start + rows)
            x, _ = bring(part, scale, device, reads=0).between(0, len(part))
            with torch.no_grad(), autocast(run.config, device):
                yield body(x).float().cpu().numpy()


def _write(path: Path, parts: Iterator[np.ndarray], *, rows: int) -> None:
    """Write an array of `rows` rows part by part, so that memory holds one part, and flush it to the disk."""
    first = next(parts)
    facts = {"descr": first.dtype.str, "fortran_order": False, "shape": (rows, *first.shape[1:])}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, facts)
        for part in chain([first], parts):
            file.write(np.ascontiguousarray(part).data)
        file.flush()
        os.fsync(file.fileno())
