"""Examples on the device: raw or normalised, taken by index."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from scaling.data.base import Arrays, Splits

NORMALISED_BYTES = 1 << 28  # 256 MiB: a set no larger than this is normalised once, instead of batch by batch


@dataclass(frozen=True)
class Scale:
    """Normalisation (x - mean) / std in float32, per channel or for all alike."""

    mean: Tensor
    std: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """Return a new float32 tensor; the same bits whether a set is normalised whole or in batches."""
        return x.to(torch.float32, copy=True).sub_(self.mean).div_(self.std)


def scale_of(splits: Splits, shape: tuple[int, ...], device: torch.device) -> Scale | None:
    """Return a data set's normalisation, None where float32 examples are to be left as they are."""
    if splits.test.x.dtype == np.float32 and set(splits.mean) == {0.0} and set(splits.std) == {1.0}:
        return None
    per_channel = (-1, *[1] * (len(shape) - 1))
    mean, std = (torch.tensor(values, device=device).reshape(per_channel) for values in (splits.mean, splits.std))
    return Scale(mean, std)


@dataclass(frozen=True)
class Resident:
    """Examples on the device: `x` (n, *shape) as stored, or normalised where `scale` is None; `y` (n,)."""

    x: Tensor
    y: Tensor
    scale: Scale | None

    def __len__(self) -> int:
        return len(self.y)

    def take(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Return the examples at `index` (n,) int64, normalised."""
        return self._scaled(self.x.index_select(0, index)), self.y.index_select(0, index)

    def between(self, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """Return the examples from `start` up to `stop`, normalised."""
        return self._scaled(self.x[start:stop]), self.y[start:stop]

    def _scaled(self, x: Tensor) -> Tensor:
        return x if self.scale is None else self.scale(x)


def put(arrays: Arrays, scale: Scale | None, device: torch.device, *, reads: int) -> Resident:
    """Bring examples to the device; normalise them at once where they are small and read (`reads` examples) often."""
    x, y = _tensor(arrays.x, device), _tensor(arrays.y, device)
    if scale is not None and reads >= len(y) and 4 * x.numel() <= NORMALISED_BYTES:
        return Resident(scale(x), y, None)
    return Resident(x, y, scale)


def _tensor(array: np.ndarray, device: torch.device) -> Tensor:
    with warnings.catch_warnings():  # nothing here writes into the examples
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(np.ascontiguousarray(array)).to(device)
