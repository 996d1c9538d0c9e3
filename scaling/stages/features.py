"""Features of a data set under a frozen body: computed once a checkpoint and data set, and cached on disk.

results/features/KEY holds one array a split, (examples, features) float32, written whole or not at all. It is safe to
delete.
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

from scaling.data.base import SPLITS, Arrays, Splits
from scaling.data.memory import load_array
from scaling.folders import RunFolder, folder_aside
from scaling.global_streams import own_streams
from scaling.plan.identity import resolved_precision
from scaling.plan.planned import PlannedRun
from scaling.stages.feature_cache import feature_key
from scaling.stages.networks import parent_network, replace_head, with_resize
from scaling.train.feed.feed import epoch_feed
from scaling.train.feed.resident import bring
from scaling.train.feed.scale import scale_of
from scaling.train.feed.sets import Sets, load_splits
from scaling.train.sizes import EVALUATED_ROWS, TRAIN_EXAMPLES
from scaling.train.streams import derive_seed


def feature_sets(run: PlannedRun, folder: RunFolder, device: torch.device) -> Sets:
    """Return the features of a run's data under its parent's frozen body, on the device."""
    splits = load_splits(run.config, run.quantities.D_unique)
    found = features(run, splits, folder, device)
    train, validation, test = (
        bring(Arrays(found[name], getattr(splits, name).y), None, device, reads=run.quantities.D) for name in SPLITS
    )
    sample = replace(train, x=train.x[:TRAIN_EXAMPLES], y=train.y[:TRAIN_EXAMPLES])
    return Sets(epoch_feed(train, seed=run.config.seed), sample, validation, test, splits)


def features(run: PlannedRun, splits: Splits, folder: RunFolder, device: torch.device) -> dict[str, np.ndarray]:
    """Return the features of each split, (examples, features) float32, computed unless they are in the cache."""
    cached = folder.features / feature_key(run)
    found = _read(cached, splits)
    if found is None:
        _make(run, splits, folder, device, cached)
        found = _read(cached, splits)
    if found is None:
        raise OSError(f"found features under {cached} that were changed while they were written; delete the folder")
    return found


def _read(cached: Path, splits: Splits) -> dict[str, np.ndarray] | None:
    """Return the cached features, None where there are none, or not as many as there are examples."""
    found = {}
    for name in SPLITS:
        try:
            array = load_array(cached / f"{name}.npy")
        except (OSError, ValueError, EOFError):
            return None
        if array.ndim != 2 or len(array) != len(getattr(splits, name)):
            return None
        found[name] = array
    return found


def _make(run: PlannedRun, splits: Splits, folder: RunFolder, device: torch.device, cached: Path) -> None:
    """Pass every split through the body and write its features."""
    body = parent_network(run, folder, device, new_head=True)
    replace_head(body, nn.Identity())
    parent = run.parent
    assert parent is not None, "a run from scratch has no body"
    streams = own_streams(derive_seed(parent.config.seed, "features"))  # the features are shared by runs of all seeds
    with folder_aside(cached) as aside, streams:  # replaces one that is damaged, or the same of another worker
        for name in SPLITS:
            parts = _passes(run, with_resize(body, run), splits, name, device)
            _write(aside / f"{name}.npy", parts, rows=len(getattr(splits, name)))


def _passes(run: PlannedRun, body: nn.Module, splits: Splits, name: str, device: torch.device) -> Iterator[np.ndarray]:
    """Yield the features of one split in blocks of examples."""
    examples: Arrays = getattr(splits, name)
    scale = scale_of(splits, run.config.data.shape, device)
    bf16 = resolved_precision(run.config) == "bf16"
    body.eval()
    rows = EVALUATED_ROWS[device.type]
    for start in range(0, len(examples), rows):
        part = Arrays(examples.x[start : start + rows], examples.y[start : start + rows])
        x, _ = bring(part, scale, device, reads=0).between(0, len(part))
        with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=bf16):
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
