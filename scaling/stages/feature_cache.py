"""The cache of features of a frozen body: its keys and its size on disk, known without torch."""

from __future__ import annotations

import hashlib
import json

from scaling.data.base import SPLITS
from scaling.plan.identity import identity_keys, resolved_precision
from scaling.plan.planned import PlannedRun

FEATURE_FILES = len(SPLITS)  # of one key: an array a split
VERSION = 1  # raised when the same checkpoint and data would give other features
BYTES_PER_NUMBER = 4  # float32


def feature_key(run: PlannedRun) -> str:
    """Return the cache key of a run's features: a hash of its parent's checkpoint and its data."""
    data, parent = run.config.data, run.config.parent
    assert parent is not None, "a run without a parent has no features"
    facts = {
        "parent": [parent.run_id, parent.step],
        "data": {"name": data.name, **identity_keys(data), "size": run.quantities.D_unique},
        "precision": resolved_precision(run.config),
        "version": VERSION,
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def feature_bytes(run: PlannedRun) -> int:
    """Return about how many bytes the features of a run take on disk."""
    data, head = run.config.data, run.quantities.counts
    rows = run.quantities.D_unique + data.n_test + data.n_validation
    return BYTES_PER_NUMBER * rows * (head.N // data.outputs)
