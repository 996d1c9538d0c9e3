"""Normalisation of examples as stored."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from scaling.data.base import Splits


@dataclass(frozen=True)
class Normalisation:
    """Normalisation (x - mean) / std in float32, per channel or with one mean and std for all."""

    mean: Tensor
    std: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """Return a new float32 tensor; the same bits whether a set is normalised whole or in batches."""
        return x.to(torch.float32, copy=True).sub_(self.mean).div_(self.std)


def normalisation_of(splits: Splits, shape: tuple[int, ...], device: torch.device) -> Normalisation | None:
    """Return the normalisation of a data set, None if its examples are float32 and need none."""
    if splits.test.x.dtype == np.float32 and set(splits.mean) == {0.0} and set(splits.std) == {1.0}:
        return None
    per_channel = (-1, *[1] * (len(shape) - 1))
    mean, std = (torch.tensor(values, device=device).reshape(per_channel) for values in (splits.mean, splits.std))
    return Normalisation(mean, std)
