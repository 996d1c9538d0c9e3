"""The module that a run trains, and the network whose weights it keeps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True)
class Learner:
    """module: what is trained; whole: returns the network it is part of, whose weights later stages start from.

    size: (height, width) of the images that the network reads, where the run's data has others.
    """

    module: nn.Module
    whole: Callable[[], nn.Module]
    size: tuple[int, int] | None = None
