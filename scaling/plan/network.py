"""The network from which a stage starts, as far as a plan knows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ParentNetwork:
    """A network that run `run_id` has trained by `stage` on `data`: a `model` that reads examples of `input_shape`."""

    run_id: str
    stage: Any
    model: Any
    data: Any
    input_shape: tuple[int, ...]
