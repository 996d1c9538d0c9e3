"""The words a model's keys may take."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

Activation = Literal["relu", "gelu"]
Norm = Literal["layer", "batch", "none"]
Place = Literal["pre", "post"]
Share = Annotated[float, Field(ge=0, lt=1)]
