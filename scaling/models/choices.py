"""The legal values of model keys, and the keys that both MLP families share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import NonNegativeInt, PositiveInt

from scaling.config import ShareBelowOne

Activation = Literal["relu", "gelu"]
Norm = Literal["layer", "batch", "none"]
Place = Literal["pre", "post"]
HeadStart = Literal["zero", "uniform"]
Parametrisation = Literal["standard", "mup"]


@dataclass(frozen=True)
class Wiring:
    """The sizes and the structure of the blocks.

    depth: number of blocks, without the embedding; place: of the norm, before or after a block; skip: add a block's
    input to its output; dropout: after the activation; head_start: how the head starts (scaling/models/blocks.py);
    param: how starts and rates move with width and depth (scaling/models/mup.py), from those at base_width, base_depth.
    """

    width: PositiveInt
    depth: NonNegativeInt
    activation: Activation = "relu"
    norm: Norm = "layer"
    place: Place = "pre"
    skip: bool = False
    dropout: ShareBelowOne = 0.0
    bias: bool = True
    head_start: HeadStart = "zero"
    param: Parametrisation = "standard"
    base_width: PositiveInt | None = None
    base_depth: PositiveInt | None = None
