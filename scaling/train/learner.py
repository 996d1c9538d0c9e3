"""What a run trains, and what later stages start from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True)
class Learner:
    """The module that is trained, and the whole network that it makes, asked for when weights are kept."""

    module: nn.Module
    whole: Callable[[], nn.Module]
