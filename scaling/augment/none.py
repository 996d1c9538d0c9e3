"""No augmentation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Unchanged:
    """Train on the examples as they are.

    An augmentation that changes them has `build(shape, outputs)`, which returns a function (x, y, generator) -> (x, y)
    of a batch: x (n, *shape) float32 on the device, y class indices (n,), or class shares (n, classes) after mixing;
    `generator` lives on the device and is the only source of randomness. None stands for no change at all.
    """

    name: ClassVar[str] = "none"

    def build(self, shape: tuple[int, ...], outputs: int) -> None:
        """Return None: batches are passed on untouched."""
