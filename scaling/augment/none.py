"""No augmentation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True)
class Unchanged:
    """Train on the unchanged examples.

    The methods of every augmentation: `build(shape, outputs)` returns a function (x, y, generator) -> (x, y) of a
    batch, None for no change. x (n, *shape) is float32 on the device and must not be written to; y are class indices
    (n,), or `scaling.augment.mixed.Mixed` after mixing; `generator`, on the device, is the only source of randomness.
    `check(data)` raises UserError for data that it cannot augment. An augmentation that resamples images may also have
    `build_at(shape, outputs, size)`, for a network that reads images of `size` (height, width), which saves a second
    resampling.
    """

    name: ClassVar[str] = "none"

    def check(self, data: Any) -> None:
        """Accept any data."""

    def build(self, shape: tuple[int, ...], outputs: int) -> None:
        """Return None: batches are not changed."""
