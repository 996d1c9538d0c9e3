"""Random streams that are the same in every process and on every machine, each named by what it is for."""

from __future__ import annotations

import hashlib
import json

import numpy as np


def bits(*purpose: str | int) -> np.random.PCG64:
    """Return PCG64 seeded by the SHA-256 of its purpose, such as ("teacher", "stream", 0, 3)."""
    digest = hashlib.sha256(json.dumps(purpose).encode()).digest()
    return np.random.PCG64(np.random.SeedSequence(int.from_bytes(digest, "big")))


def generator(*purpose: str | int) -> np.random.Generator:
    """Return a generator of numbers for one purpose; two purposes share nothing."""
    return np.random.Generator(bits(*purpose))


def permutation(n: int, *purpose: str | int) -> np.ndarray:
    """Return a random order of `n` things, (n,) int64: it rests on the raw stream alone, which NumPy keeps for ever."""
    return np.argsort(bits(*purpose).random_raw(n), kind="stable")
