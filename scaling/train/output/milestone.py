"""A milestone of a run: its model is evaluated, its weights are kept where that is asked for, the point is noted."""

from __future__ import annotations

from math import isfinite

from torch import nn

from scaling.train.attempt import Attempt
from scaling.train.evaluation import Evaluation, evaluate, make_point
from scaling.train.learner import Learner
from scaling.train.output.filters import keep_filters
from scaling.train.output.kept_weights import keep_weights


def take_point(attempt: Attempt, module: nn.Module, learner: Learner | None, *, step: int, lr: float) -> Evaluation:
    """Evaluate a module at a step, keep the weights of the network it is part of, and add the point to the journal."""
    evaluation = evaluate(attempt.run, attempt.sets, module)
    note_point(attempt, evaluation, module, learner, step=step, lr=lr)
    return evaluation


def note_point(
    attempt: Attempt, evaluation: Evaluation, module: nn.Module, learner: Learner | None, *, step: int, lr: float
) -> None:
    """Keep the weights of a module that was evaluated at a step, and add the point to the journal."""
    run = attempt.run
    if step in run.kept_steps and isfinite(evaluation.test.loss):
        keep_weights(attempt.folder, run.run_id, step, learner.whole() if learner else module)
    attempt.journal.add(make_point(run, evaluation, step=step, lr=lr, final=step == run.quantities.steps))


def finish(attempt: Attempt, module: nn.Module, learner: Learner | None, *, seconds: float, examples: int) -> None:
    """Note the speed of an attempt that has come to its end, and keep the filters that are asked for."""
    attempt.journal.trained(seconds, examples)
    if attempt.run.config.train.filters:
        keep_filters(attempt.folder.path, learner.whole() if learner else module, attempt.run.input_shape)
