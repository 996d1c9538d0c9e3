"""The beginning of an attempt: its trainer, as a checkpoint left it or from the start."""

from __future__ import annotations

import logging
from math import prod

from scaling.folders import set_aside
from scaling.train.attempt import Attempt
from scaling.train.feed.feed import batches
from scaling.train.learner import Learner
from scaling.train.loop import Trainer
from scaling.train.output.checkpoint import read_checkpoint

log = logging.getLogger(__name__)


def begin(attempt: Attempt, learner: Learner | None) -> Trainer:
    """Build the trainer, and load it and the journal from the last checkpoint, if that fits."""
    run, device = attempt.run, attempt.device
    features, batch = prod(attempt.sets.test.x.shape[1:]), run.quantities.batch
    cut = batches(attempt.sets.feed, batch=batch, features=features, device=device)
    size = learner.size if learner else None
    trainer = Trainer(run, cut, device, module=learner.module if learner else None, size=size)
    path = attempt.folder.checkpoint
    state = read_checkpoint(path, run.run_id)
    if state is not None and (reason := trainer.misfit(state["trainer"])):
        log.warning(
            "found %s, which does not fit the run as it is now (%s): its code was changed, or its device; set aside as "
            "%s, the run starts afresh",
            *(path, reason, set_aside(path).name),
        )
        state = None
    if state is not None:
        trainer.load(state["trainer"])
    attempt.journal.begin(state and state["journal"])
    return trainer
