"""The legal values of model keys, and the keys that the blocks of both MLP families share."""

from __future__ import annotations

from typing import Literal

Activation = Literal["relu", "gelu"]
Norm = Literal["layer", "batch", "none"]
Place = Literal["pre", "post"]
HeadStart = Literal["zero", "uniform"]
Parametrisation = Literal["standard", "mup"]


class Wiring:
    """The structure of a block; a family is a dataclass with these keys."""

    activation: Activation
    norm: Norm
    place: Place
    skip: bool
    dropout: float
    bias: bool
    head_start: HeadStart
    param: Parametrisation
    base_width: int | None
    base_depth: int | None
