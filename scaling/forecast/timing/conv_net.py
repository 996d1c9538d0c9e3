"""Small convolutional networks for timing, as examples of users' modules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from scaling.models.custom import Custom


class ConvNet(nn.Module):
    """Convolutions of `width` channels over one or two dimensions, each followed by a ReLU; a linear head."""

    def __init__(self, shape: Sequence[int], outputs: int, *, width: int, depth: int) -> None:
        super().__init__()
        kind = nn.Conv1d if len(shape) == 2 else nn.Conv2d
        channels, parts = shape[0], list[nn.Module]()
        for _ in range(depth):
            parts += [kind(channels, width, 3, stride=2, padding=1), nn.ReLU()]
            channels = width
        points = width
        for size in shape[1:]:
            points *= -(-size // 2**depth)
        self.body, self.head = nn.Sequential(*parts), nn.Linear(points, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map examples (n, channels, …) to (n, outputs)."""
        found: Tensor = self.head(self.body(x).flatten(1))
        return found


@dataclass(frozen=True)
class Convolving(Custom):
    """A `ConvNet` as a model that is counted like a user's module."""

    module: str = f"{__name__}.ConvNet"
    depth: int = 3

    def make(self, shape: tuple[int, ...], outputs: int) -> nn.Module:
        """Make the module."""
        assert self.width is not None
        return ConvNet(shape, outputs, width=self.width, depth=self.depth)

    __hash__ = Custom.__hash__
