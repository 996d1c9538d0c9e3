"""A linear map of the leading features: a family whose scaling laws are known exactly."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, ClassVar

from pydantic import PositiveInt

from scaling.accounting import Layer, dense
from scaling.errors import ImpossibleRun

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Linear:
    """A linear map of the `width` leading features, without bias, starting at zero; its one matrix counts as body."""

    family: ClassVar[str] = "linear"

    width: PositiveInt

    def layers(self, shape: tuple[int, ...], outputs: int) -> list[Layer]:
        """Count the one layer; ImpossibleRun if an example has fewer than `width` features."""
        if self.width > prod(shape):
            raise ImpossibleRun(
                f"found model.width={self.width}; wanted at most the {prod(shape)} features of the data; lower it"
            )
        return [dense(self.width, outputs, bias=False, first=True)]

    def build(self, shape: tuple[int, ...], outputs: int, generator: torch.Generator) -> torch.nn.Module:
        """Make the module on the CPU; nothing is drawn."""
        from scaling.models.blocks import LinearMap

        return LinearMap(self.width, outputs)
