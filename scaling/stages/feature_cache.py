"""The cache of features of a frozen body: its keys and its size on disk, known without torch."""

from __future__ import annotations

import hashlib
import json

from scaling.data.base import SPLITS
from scaling.plan.identity import identity_keys, resolved_precision
from scaling.plan.planned import PlannedRun

VERSION = 1  # raised when the same checkpoint and data would give other features
BYTES_PER_NUMBER = 4  # float32


def cached_splits(run: PlannedRun) -> tuple[str, ...]:
    """Return the splits whose features a run caches: not the few training examples of `shots`, drawn anew each run."""
    return SPLITS if getattr(run.config.stage, "shots", None) is None else ("validation", "test")


def feature_key(run: PlannedRun, splits: tuple[str, ...] = SPLITS) -> str:
    """Return the cache key of features of these splits: a hash of the run's parent's checkpoint and its data."""
    data, parent = run.config.data, run.config.parent
    assert parent is not None, "a run without a parent has no features"
    size = run.quantities.D_unique if "train" in splits else None
    facts = {
        "parent": [parent.run_id, parent.step],
        "data": {"name": data.name, **identity_keys(data), "size": size},
        "precision": resolved_precision(run.config),
        "version": VERSION,
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def feature_bytes(run: PlannedRun) -> int:
    """Return about how many bytes the features that a run caches take on disk."""
    data, head = run.config.data, run.quantities.counts
    train = run.quantities.D_unique if "train" in cached_splits(run) else 0
    return BYTES_PER_NUMBER * (train + data.n_test + data.n_validation) * (head.N // data.outputs)
