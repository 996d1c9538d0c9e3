"""The module that a run trains, and the network whose weights it keeps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True)
class Learner:
    """The trained module and its network.

    module: the trained module; whole: returns the network that it is part of, whose weights later stages start from;
    size: (height, width) of the network's images, if it differs from the data's.
    """

    module: nn.Module
    whole: Callable[[], nn.Module]
    size: tuple[int, int] | None = None
