"""Examples on the device, as stored or normalised, and the choice between these and examples on the host."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from scaling.data.base import Arrays
from scaling.train.feed.mapped import Held, Mapped, stays_on_host
from scaling.train.feed.scale import Scale
from scaling.train.sizes import is_normalised_once


@dataclass(frozen=True)
class Resident(Held):
    """Examples on the device, as stored, or normalised where `scale` is None."""

    def take(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Return the examples at `index` (n,) int64, normalised."""
        return self._scaled(self.x.index_select(0, index)), self.y.index_select(0, index)

    def between(self, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """Return the examples from `start` up to `stop`, normalised."""
        return self._scaled(self.x[start:stop]), self.y[start:stop]

    def _scaled(self, x: Tensor) -> Tensor:
        return x if self.scale is None else self.scale(x)


Examples = Resident | Mapped


def bring(arrays: Arrays, scale: Scale | None, device: torch.device, *, reads: int) -> Examples:
    """Bring examples to the device if it can hold them; a set that is small and read often is normalised once.

    `reads`: examples that will be taken.
    """
    if stays_on_host(arrays.x, device):
        return Mapped(_tensor(arrays.x.view(np.ndarray), torch.device("cpu")), _tensor(arrays.y, device), scale)
    x, y = _tensor(arrays.x, device), _tensor(arrays.y, device)
    if scale is not None and is_normalised_once(x.numel(), examples=len(y), reads=reads):
        return Resident(scale(x), y, None)
    return Resident(x, y, scale)


def _tensor(array: np.ndarray, device: torch.device) -> Tensor:
    with warnings.catch_warnings():  # nothing here writes into the examples
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        if isinstance(array, np.memmap):
            return torch.from_numpy(array).to(device, copy=True)  # read once, not at every batch
        return torch.from_numpy(np.ascontiguousarray(array)).to(device)
