"""A milestone of a run: evaluate the model, keep its weights if requested, and record the point."""

from __future__ import annotations

from math import isfinite

from scaling.models.custom import is_users_module
from scaling.train.attempt import Attempt
from scaling.train.evaluation import Evaluation, evaluate, make_point
from scaling.train.learner import Learner
from scaling.train.output.filters import keep_filters
from scaling.train.output.kept_weights import keep_weights


def take_point(attempt: Attempt, learner: Learner, *, step: int, lr: float) -> Evaluation:
    """Evaluate a module at a step, keep its network's weights if requested, and add the point to the journal."""
    evaluation = evaluate(attempt.run, attempt.sets, learner.module)
    note_point(attempt, evaluation, learner, step=step, lr=lr)
    return evaluation


def note_point(attempt: Attempt, evaluation: Evaluation, learner: Learner, *, step: int, lr: float) -> None:
    """Keep the weights of an evaluated module's network if requested, and add the point to the journal."""
    run = attempt.run
    if step in run.kept_steps and isfinite(evaluation.test.loss):
        own = is_users_module(run.config.model)
        keep_weights(attempt.folder, run.run_id, step, learner.network, own=own)
    attempt.journal.add(make_point(run, evaluation, step=step, lr=lr, final=step == run.quantities.steps))


def finish(attempt: Attempt, learner: Learner, *, seconds: float, examples: int) -> None:
    """Record the speed of a finished attempt, and keep the first layer's filters if requested."""
    attempt.journal.trained(seconds, examples)
    if attempt.run.config.train.filters:
        keep_filters(attempt.folder.path, learner.network, attempt.run.input_shape)
