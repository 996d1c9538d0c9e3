"""Training step by step, from milestone to milestone, with checkpoints."""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite, prod
from typing import TYPE_CHECKING

from scaling.train.attempt import Attempt
from scaling.train.callbacks import Duties, Progress
from scaling.train.examiner import LOST, Verdict, examine, point
from scaling.train.feed.feed import batches
from scaling.train.loop import Diverged, Trainer
from scaling.train.output.checkpoint import read_checkpoint, write_checkpoint
from scaling.train.output.filters import keep_filters
from scaling.train.output.kept_weights import keep_weights

if TYPE_CHECKING:
    from scaling.train.learner import Learner


def step_through(
    attempt: Attempt,
    *,
    watch: Callable[[Progress], None] | None,
    stop: Callable[[], bool] | None,
    learner: Learner | None = None,
) -> Verdict | None:
    """Train to the end, or from where a checkpoint left the run; return the last verdict, None if stopped.

    `learner`: what is trained instead of the config's model from its initialisation.
    """
    trainer = _trainer(attempt, learner)

    def save() -> None:
        state = {"trainer": trainer.state(), "journal": attempt.journal.state()}
        write_checkpoint(attempt.folder.checkpoint, attempt.run.run_id, state)

    duties = Duties(trainer, save, watch=watch, stop=stop)
    try:
        verdict = _through_milestones(attempt, trainer, duties, learner)
    except Diverged:
        attempt.journal.add(point(attempt.run, LOST, step=trainer.step, lr=trainer.lr, final=True))
        verdict = LOST
    attempt.journal.trained(trainer.seconds, (trainer.step - trainer.began) * attempt.run.quantities.batch)
    if verdict is not None and attempt.run.config.train.filters:
        keep_filters(attempt.folder.path, trainer.module, attempt.run.config.data.shape)
    if verdict is None:
        save()
    return verdict


def _trainer(attempt: Attempt, learner: Learner | None) -> Trainer:
    """Build the trainer and bring it, and the journal, to where the last checkpoint stood."""
    run, device = attempt.run, attempt.device
    features, batch = prod(attempt.sets.test.x.shape[1:]), run.quantities.batch
    cut = batches(attempt.sets.feed, batch=batch, features=features, device=device)
    trainer = Trainer(run, cut, device, module=learner.module if learner else None)
    state = read_checkpoint(attempt.folder.checkpoint, run.run_id)
    if state is not None:
        trainer.load(state["trainer"])
    attempt.journal.begin(state and state["journal"])
    return trainer


def _through_milestones(attempt: Attempt, trainer: Trainer, duties: Duties, learner: Learner | None) -> Verdict | None:
    run, journal, verdict = attempt.run, attempt.journal, LOST
    for step in run.quantities.milestones:
        if step <= journal.last_step:
            continue
        if not trainer.advance(step, duties):
            return None
        verdict = examine(run, attempt.sets, trainer.module)
        if step in run.kept_steps and isfinite(verdict.test.loss):
            keep_weights(attempt.folder, run.run_id, step, learner.whole() if learner else trainer.module)
        final = step == run.quantities.steps
        journal.add(point(run, verdict, step=step, lr=trainer.lr, final=final))
        if not final:
            duties.milestone()
    return verdict
