"""What a stage trains, and what later stages start from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from scaling.models.parts import head_of
from scaling.stages.networks import fitted, inherited
from scaling.train.attempt import Attempt


@dataclass(frozen=True)
class Learner:
    """The module that is trained, and the whole network that it makes, asked for when weights are kept."""

    module: nn.Module
    whole: Callable[[], nn.Module]


def head_learner(attempt: Attempt) -> Learner:
    """Train a new head alone: the sets hold the features that the frozen body makes."""
    network = inherited(attempt.run, attempt.folder, attempt.device, new_head=True)
    head = head_of(network)

    return Learner(head, lambda: network)


def network_learner(attempt: Attempt) -> Learner:
    """Train the parent's network with a new head, behind a resize where the images are of another size."""
    network = inherited(attempt.run, attempt.folder, attempt.device, new_head=True)
    return Learner(fitted(network, attempt.run), lambda: network)
