"""A single run of engine=stacked: a stack of one, or the plain loop with a message."""

from __future__ import annotations

import logging
from functools import cache

from scaling.train.attempt import Attempt
from scaling.train.evaluation import Evaluation
from scaling.train.loop import Trainer
from scaling.train.stacked.clock import SharedClock
from scaling.train.stacked.loop import train_together
from scaling.train.stacked.member_state import member_state_of
from scaling.train.stacked.users.vmapped import NotStackable

log = logging.getLogger(__name__)


def train_stack_of_one(attempt: Attempt, trainer: Trainer) -> Evaluation | None:
    """Train a run as a stack of one; return its last evaluation, None if it was stopped.

    Raises NotStackable before the first step if its module or optimiser cannot be stacked.
    """
    ends: list[Evaluation | Exception | None] = []
    member = member_state_of(attempt, trainer, ends.append)
    attempt.how["stack"] = 1
    train_together([[member]], attempt.device, SharedClock(1))
    [end] = ends
    if isinstance(end, Exception):
        raise end
    return end


def note_single(attempt: Attempt, reason: NotStackable) -> None:
    """Note in the record, and log once for each reason, that a run is trained by itself."""
    attempt.how["stack"] = f"one by one: {reason}"
    _log_reason(str(reason))


@cache
def _log_reason(reason: str) -> None:
    log.warning("train.engine=stacked: such runs are trained one by one: %s", reason)
