"""Random streams: independent of each other, one for each purpose, seeded by the run's seed and a name."""

from __future__ import annotations

import hashlib

import torch


def derive_seed(seed: int, *names: str | int) -> int:
    """Return the 63-bit seed of the stream called `names`, from the SHA-256 of seed and names."""
    text = "/".join(str(part) for part in (seed, *names))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) >> 1


def stream(seed: int, *names: str | int, device: torch.device | str = "cpu") -> torch.Generator:
    """Return the generator of the stream called `names`."""
    return torch.Generator(device).manual_seed(derive_seed(seed, *names))
