"""How test-time augmentation draws its crops."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from scaling.augment.standard import Standard


@dataclass(frozen=True)
class Crops:
    """How many crops of each image are drawn, how, and what their mean is taken of."""

    number: int
    average: Literal["logits", "probabilities"]
    drawn: Standard
