"""Start an attempt from a checkpoint, a fork or the beginning."""

from __future__ import annotations

import logging
from contextlib import suppress
from pathlib import Path
from typing import Any

from scaling.content.content import Content
from scaling.folders import set_aside
from scaling.plan.planned import Fork
from scaling.train.attempt import Attempt
from scaling.train.learner import Learner
from scaling.train.loop import Trainer
from scaling.train.output.checkpoint import read_checkpoint, write_checkpoint

log = logging.getLogger(__name__)


def begin(attempt: Attempt, learner: Learner | None) -> Trainer:
    """Build the trainer, and restore it and the journal from the last checkpoint if that fits."""
    run, device = attempt.run, attempt.device
    batches = attempt.sets.batches(run.quantities.batch)
    trainer = Trainer(run, batches, device, learner)
    path = attempt.folder.checkpoint
    state = read_checkpoint(path, run.run_id)
    if state is not None and (reason := _misfit(attempt, trainer, state)):
        log.warning(
            "found %s, which does not fit the run as it is now (%s): its code, data or device, or `scaling` itself, "
            "have changed; set aside as %s, the run starts afresh",
            *(path, reason, set_aside(path).name),
        )
        state = None
    attempt.journal.begin(state and state["journal"])
    if state is not None:
        trainer.load(state["trainer"])
    else:
        for step in run.forks:  # left by an attempt that is not continued
            attempt.folder.fork(step).unlink(missing_ok=True)
        _load_fork(attempt, trainer)
        attempt.journal.origin = trainer.step
    if run.fork is not None:
        attempt.how["forked"] = {"run_id": run.fork.run_id, "step": attempt.journal.origin}
    return trainer


def _misfit(attempt: Attempt, trainer: Trainer, state: dict[str, Any]) -> str:
    """Return why a state does not fit the run as it is now, such as changed data or code; "" if it fits."""
    before = Content.from_dict(state.get("content", {}))  # states of earlier versions have none
    changed = before.differs(attempt.content)
    return f"it was trained with other {' and '.join(changed)}" if changed else trainer.misfit(state["trainer"])


def keep_fork(attempt: Attempt, trainer: Trainer) -> None:
    """Save the whole state for a run of another length, which continues from here."""
    write_checkpoint(attempt.folder.fork(trainer.step), attempt.run.run_id, attempt.state_with(trainer.state()))


def drop_fork(attempt: Attempt) -> None:
    """Remove the state that a settled run was forked from."""
    if attempt.run.fork is not None:
        path = _fork_state(attempt, attempt.run.fork)
        path.unlink(missing_ok=True)
        with suppress(OSError):
            path.parent.rmdir()  # only if it is empty


def _fork_state(attempt: Attempt, fork: Fork) -> Path:
    return attempt.folder.other(fork.run_id).fork(fork.step)


def _load_fork(attempt: Attempt, trainer: Trainer) -> None:
    """Load the state of the run that this one forks from, if it exists and fits."""
    fork = attempt.run.fork
    if fork is None:
        return
    state = read_checkpoint(_fork_state(attempt, fork), fork.run_id)
    if state is not None and not _misfit(attempt, trainer, state):
        trainer.load(state["trainer"])
    else:
        log.warning("run %s starts from its own start: run %s left no state for it", attempt.run.run_id, fork.run_id)
