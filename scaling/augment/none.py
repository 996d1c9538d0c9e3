"""No augmentation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True)
class Unchanged:
    """Train on the examples as they are.

    An augmentation that changes them has `build(shape, outputs)`, which returns a function (x, y, generator) -> (x, y)
    of a batch: x (n, *shape) float32 on the device, which must stay as it is (a new tensor is returned); y class
    indices (n,), or `scaling.augment.mixed.Mixed` after mixing; `generator` lives on the device and is the only source
    of randomness. None stands for no change at all. `check(data)` refuses data that it cannot change.
    """

    name: ClassVar[str] = "none"

    def check(self, data: Any) -> None:
        """Accept any data."""

    def build(self, shape: tuple[int, ...], outputs: int) -> None:
        """Return None: batches are passed on untouched."""
