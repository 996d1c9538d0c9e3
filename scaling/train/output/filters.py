"""The weights of the first layer, kept beside the record for figures that need neither checkpoint nor torch."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from torch import nn

from scaling.folders import write_atomically

FILE = "filters.npz"  # in the run's folder


def keep_filters(folder: Path, module: nn.Module, shape: tuple[int, ...]) -> bool:
    """Write FOLDER/filters.npz with `filters`, float16 (width, *shape); return False if no layer reads the data.

    shape: of an example; the layer is the first linear one with as many inputs.
    """
    size = int(np.prod(shape))
    for layer in module.modules():
        if isinstance(layer, nn.Linear) and layer.in_features == size:
            weights = layer.weight.detach().float().cpu().numpy().reshape(-1, *shape)
            packed = io.BytesIO()
            np.savez_compressed(packed, filters=weights.astype(np.float16))
            write_atomically(folder / FILE, packed.getvalue())
            return True
    return False
