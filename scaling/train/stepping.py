"""Training step by step, from milestone to milestone, with checkpoints."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

from scaling.train.attempt import Attempt
from scaling.train.checkpoint import read_checkpoint, write_checkpoint
from scaling.train.duties import Duties, Progress
from scaling.train.examiner import LOST, Verdict, examine, point
from scaling.train.feed import batches
from scaling.train.loop import Diverged, Trainer


def step_through(
    attempt: Attempt, *, watch: Callable[[Progress], None] | None, stop: Callable[[], bool] | None
) -> Verdict | None:
    """Train to the end, or from where a checkpoint left the run; return the last verdict, None if stopped."""
    trainer = _trainer(attempt)

    def save() -> None:
        state = {"trainer": trainer.state(), "journal": attempt.journal.state()}
        write_checkpoint(attempt.folder.checkpoint, attempt.run.run_id, state)

    duties = Duties(trainer, save, watch=watch, stop=stop)
    try:
        verdict = _through_milestones(attempt, trainer, duties)
    except Diverged:
        attempt.journal.add(point(attempt.run, LOST, step=trainer.step, lr=trainer.lr, final=True))
        verdict = LOST
    attempt.journal.trained(trainer.seconds, (trainer.step - trainer.began) * attempt.run.quantities.batch)
    if verdict is None or attempt.run.config.train.keep:
        save()
    return verdict


def _trainer(attempt: Attempt) -> Trainer:
    """Build the trainer and bring it, and the journal, to where the last checkpoint stood."""
    run, device = attempt.run, attempt.device
    features, batch = prod(run.config.data.shape), run.quantities.batch
    trainer = Trainer(run, batches(attempt.sets.feed, batch=batch, features=features, device=device), device)
    state = read_checkpoint(attempt.folder.checkpoint, run.run_id)
    if state is not None:
        trainer.load(state["trainer"])
    attempt.journal.begin(state and state["journal"])
    return trainer


def _through_milestones(attempt: Attempt, trainer: Trainer, duties: Duties) -> Verdict | None:
    run, journal, verdict = attempt.run, attempt.journal, LOST
    for step in run.quantities.milestones:
        if step <= journal.last_step:
            continue
        if not trainer.advance(step, duties):
            return None
        verdict = examine(run, attempt.sets, trainer.module)
        final = step == run.quantities.steps
        journal.add(point(run, verdict, step=step, lr=trainer.lr, final=final))
        if not final:
            duties.milestone()
    return verdict
