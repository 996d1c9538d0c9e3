"""What a stage trains, and what later stages start from."""

from __future__ import annotations

from scaling.models.parts import head_of
from scaling.stages.networks import fitted, inherited
from scaling.train.attempt import Attempt
from scaling.train.learner import Learner


def head_learner(attempt: Attempt) -> Learner:
    """Train a new head alone: the sets hold the features that the frozen body makes."""
    network = inherited(attempt.run, attempt.folder, attempt.device, new_head=True)
    head = head_of(network)

    return Learner(head, lambda: network)


def network_learner(attempt: Attempt) -> Learner:
    """Train the parent's network with a new head, behind a resize where the images are of another size."""
    network = inherited(attempt.run, attempt.folder, attempt.device, new_head=True)
    return Learner(fitted(network, attempt.run), lambda: network)
