"""NumPy random streams, named by their purpose, and the same in every process and on every machine."""

from __future__ import annotations

import hashlib
import json
from contextlib import AbstractContextManager

import numpy as np

from scaling.global_streams import own_streams


def bit_generator(*purpose: str | int) -> np.random.PCG64:
    """Return PCG64 seeded by the SHA-256 of its purpose, such as ("teacher", "stream", 0, 3)."""
    return np.random.PCG64(np.random.SeedSequence(int.from_bytes(_digest(purpose), "big")))


def generator(*purpose: str | int) -> np.random.Generator:
    """Return the random generator of a purpose; those of two purposes are independent."""
    return np.random.Generator(bit_generator(*purpose))


def permutation(n: int, *purpose: str | int) -> np.ndarray:
    """Return a random order of `n` things, (n,) int64, from raw bits alone, which NumPy promises not to change."""
    return np.argsort(bit_generator(*purpose).random_raw(n), kind="stable")


def streams_of(*purpose: str | int) -> AbstractContextManager[None]:
    """Let draws from the global streams by users' code depend only on the purpose."""
    return own_streams(int.from_bytes(_digest(purpose)[:8], "big") >> 1)


def _digest(purpose: tuple[str | int, ...]) -> bytes:
    return hashlib.sha256(json.dumps(purpose).encode()).digest()
