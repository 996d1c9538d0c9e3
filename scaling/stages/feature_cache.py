"""The cache of features of a frozen body: its keys and its size on disk, known without torch."""

from __future__ import annotations

import hashlib
import json

from scaling.config import RunConfig
from scaling.data.base import SPLITS
from scaling.plan.identity import asked_precision, identity_keys
from scaling.plan.quantities import Quantities

VERSION = 1  # raised when the same checkpoint and data would give other features
BYTES_PER_NUMBER = 4  # float32


def cached_splits(config: RunConfig) -> tuple[str, ...]:
    """Return the splits whose features a run caches, without the few training examples of `shots`."""
    return SPLITS if getattr(config.stage, "shots", None) is None else ("validation", "test")


def feature_key(
    config: RunConfig,
    D_unique: int,
    splits: tuple[str, ...] = SPLITS,
    *,
    precision: str | None = None,
    content: str = "",
) -> str:
    """Return the cache key of features of these splits: a hash of the run's parent's checkpoint and its data.

    precision: used to compute them, by default the run's; content: digest of the data, weights and code.
    """
    data, parent = config.data, config.parent
    assert parent is not None, "a run without a parent has no features"
    size = D_unique if "train" in splits else None
    facts = {
        "parent": [parent.run_id, parent.step],
        "data": {"name": data.name, **identity_keys(data), "size": size},
        "precision": precision or asked_precision(config),
        "version": VERSION,
    }
    if content:
        facts["content"] = content
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def feature_bytes(config: RunConfig, quantities: Quantities) -> int:
    """Return about how many bytes a run's cached features take on disk."""
    data, head = config.data, quantities.counts
    train = quantities.D_unique if "train" in cached_splits(config) else 0
    return BYTES_PER_NUMBER * (train + data.n_test + data.n_validation) * (head.N // data.outputs)
