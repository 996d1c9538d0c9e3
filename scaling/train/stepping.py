"""Training step by step, from milestone to milestone, with checkpoints."""

from __future__ import annotations

import logging
from collections.abc import Callable
from math import isfinite, prod
from typing import Any

from scaling.folders import read_lines, set_aside
from scaling.train.attempt import Attempt
from scaling.train.callbacks import Callbacks, Progress
from scaling.train.evaluation import NOT_FINITE, Evaluation, evaluate, make_point
from scaling.train.feed.feed import batches
from scaling.train.learner import Learner
from scaling.train.loop import Diverged, Trainer
from scaling.train.output.checkpoint import read_checkpoint, write_checkpoint
from scaling.train.output.filters import keep_filters
from scaling.train.output.kept_weights import keep_weights
from scaling.train.output.saver import Saver

log = logging.getLogger(__name__)


def train_by_steps(
    attempt: Attempt,
    *,
    watch: Callable[[Progress], None] | None,
    stop: Callable[[], bool] | None,
    learner: Learner | None = None,
) -> Evaluation | None:
    """Train to the end, from the checkpoint if there is one; return the last evaluation, None where `stop` said so.

    learner: what is trained instead of the config's model from its initialisation.
    """
    trainer = _trainer(attempt, learner)

    def state() -> dict[str, Any]:
        return {"trainer": trainer.state(), "journal": attempt.journal.state()}

    def write(state: dict[str, Any]) -> None:
        write_checkpoint(attempt.folder.checkpoint, attempt.run.run_id, state)

    again = any(read_lines(attempt.folder.attempts))
    with Saver(state, write) as saver:
        callbacks = Callbacks(trainer, saver, again=again, watch=watch, stop=stop)
        try:
            evaluation = _through_milestones(attempt, trainer, callbacks, learner)
        except Diverged:
            attempt.journal.add(make_point(attempt.run, NOT_FINITE, step=trainer.step, lr=trainer.lr, final=True))
            evaluation = NOT_FINITE
        if evaluation is None:
            saver.save()
    attempt.journal.trained(trainer.seconds, (trainer.step - trainer.began) * attempt.run.quantities.batch)
    if evaluation is not None and attempt.run.config.train.filters:
        keep_filters(attempt.folder.path, learner.whole() if learner else trainer.module, attempt.run.input_shape)
    return evaluation


def _trainer(attempt: Attempt, learner: Learner | None) -> Trainer:
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


def _through_milestones(
    attempt: Attempt, trainer: Trainer, callbacks: Callbacks, learner: Learner | None
) -> Evaluation | None:
    run, journal, evaluation = attempt.run, attempt.journal, NOT_FINITE
    for step in run.quantities.milestones:
        if step <= journal.last_step:
            continue
        if not trainer.advance(step, callbacks):
            return None
        evaluation = evaluate(run, attempt.sets, trainer.module)
        if step in run.kept_steps and isfinite(evaluation.test.loss):
            keep_weights(attempt.folder, run.run_id, step, learner.whole() if learner else trainer.module)
        final = step == run.quantities.steps
        journal.add(make_point(run, evaluation, step=step, lr=trainer.lr, final=final))
        if not final:
            callbacks.milestone()
    return evaluation
