"""The module that a run trains, and the network whose weights it keeps."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True)
class Learner:
    """The trained module and its network.

    network: of which the module is a part, or which is a part of the module; its weights are kept for later stages;
    size: (height, width) of the network's images, if it differs from the data's.
    """

    module: nn.Module
    network: nn.Module
    size: tuple[int, int] | None = None
