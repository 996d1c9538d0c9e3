"""The modules that stages train, and the networks whose weights they keep."""

from __future__ import annotations

from scaling.models.parts import head_of
from scaling.stages.networks import FrozenBody, crop_size, parent_network, with_resize
from scaling.train.attempt import Attempt
from scaling.train.learner import Learner


def head_learner(attempt: Attempt) -> Learner:
    """Return a new head to be trained alone; the sets hold the features of the frozen body."""
    network = parent_network(attempt, new_head=True)
    return Learner(head_of(network), network)


def network_learner(attempt: Attempt, *, head_alone: bool) -> Learner:
    """Return the parent's network with a new head, and with a resize if the images have another size.

    head_alone: train only the head.
    """
    network = parent_network(attempt, new_head=True)
    module = with_resize(network, attempt)
    return Learner(FrozenBody(module) if head_alone else module, network, crop_size(attempt))
