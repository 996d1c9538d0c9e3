"""Training step by step, from milestone to milestone, with checkpoints."""

from __future__ import annotations

from typing import Any

from scaling.optim.averaged import as_meant
from scaling.train.attempt import Attempt
from scaling.train.callbacks import Callbacks
from scaling.train.evaluation import NOT_FINITE, Evaluation, make_point
from scaling.train.learner import Learner
from scaling.train.loop import Diverged, Trainer
from scaling.train.output.checkpoint import write_checkpoint
from scaling.train.output.curve import take_curve
from scaling.train.output.curve_steps import curve_steps
from scaling.train.output.milestone import finish, take_point
from scaling.train.output.resume import begin, keep_fork
from scaling.train.output.saver import Saver
from scaling.train.stacked.single_run import note_single, train_stack_of_one
from scaling.train.stacked.users.vmapped import NotStackable


def train_by_steps(attempt: Attempt, learner: Learner | None) -> Evaluation | None:
    """Train to the end, from the checkpoint if there is one; return the last evaluation, None if it was stopped.

    learner: trained instead of the config's freshly initialised model, None for this.
    """
    trainer = begin(attempt, learner)
    if attempt.run.config.train.engine == "stacked":
        try:
            return train_stack_of_one(attempt, trainer)
        except NotStackable as reason:
            note_single(attempt, reason)
            trainer = begin(attempt, learner)  # again, since the trial may have changed the module

    def state() -> dict[str, Any]:
        return attempt.state_with(trainer.state())

    def write(state: dict[str, Any]) -> None:
        write_checkpoint(attempt.folder.checkpoint, attempt.run.run_id, state)

    with Saver(state, write) as saver:
        callbacks = Callbacks(attempt, trainer, saver)
        try:
            evaluation = _through_milestones(attempt, trainer, callbacks)
        except Diverged:
            attempt.journal.add(make_point(attempt.run, NOT_FINITE, step=trainer.step, lr=trainer.lr, final=True))
            evaluation = NOT_FINITE
        if evaluation is None:
            saver.save()
    examples = (trainer.step - trainer.began) * attempt.run.quantities.batch
    attempt.how["launch"] = trainer.launch_name
    if evaluation is not None:
        with as_meant(trainer.optimizer):
            finish(attempt, trainer.learner, seconds=trainer.seconds, examples=examples)
    return evaluation


def _through_milestones(attempt: Attempt, trainer: Trainer, callbacks: Callbacks) -> Evaluation | None:
    run, journal, evaluation = attempt.run, attempt.journal, NOT_FINITE
    curve = curve_steps(run)
    for step in sorted({*run.quantities.milestones, *run.forks, *curve}):
        if step < trainer.step or step <= journal.last_step:
            continue
        if not trainer.advance(step, callbacks):
            return None
        if step in curve and step > journal.last_noted:
            with as_meant(trainer.optimizer):
                take_curve(attempt, trainer.module, step=step)
        if step in run.forks:
            keep_fork(attempt, trainer)
        if step not in run.quantities.milestones:
            continue
        with as_meant(trainer.optimizer):
            evaluation = take_point(attempt, trainer.learner, step=step, lr=trainer.lr)
        if step != run.quantities.steps:
            callbacks.milestone()
    return evaluation
