"""How test-time augmentation draws its crops."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from scaling.augment.standard import Standard


@dataclass(frozen=True)
class Crops:
    """Random crops of an image, `number` of them, by `augmentation`; average: the quantity that is averaged."""

    number: int
    average: Literal["logits", "probabilities"]
    augmentation: Standard
