"""The network from which a stage starts, as known in a plan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ParentNetwork:
    """A network that run `run_id` trained by `stage` on `data`; input_shape: of the examples that it reads."""

    run_id: str
    stage: Any
    model: Any
    data: Any
    input_shape: tuple[int, ...]
