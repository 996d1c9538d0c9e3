"""Callbacks of the training loop: whether to stop, progress, checkpoints."""

from __future__ import annotations

from time import monotonic

from scaling.train.attempt import Attempt, Progress
from scaling.train.loop import Trainer
from scaling.train.output.saver import Saver

WATCH_SECONDS = 1.0  # between two reports
MILESTONE_SECONDS = 2.0  # least interval between a checkpoint and one at a milestone
LEAST_SECONDS = 1.0  # least interval between two checkpoints, unless train.checkpoint_seconds is less
COSTS = 50  # interval between checkpoints, in units of the time that one takes: they take 2 % of the time
REGAINED = 1 / 2  # interval in units of the time trained up to the last checkpoint: at most a third of the work is lost


def checkpoint_interval(cost: float, *, most: float, trained: float | None) -> float:
    """Return the seconds between two checkpoints: a compromise between work lost and time spent on writing.

    cost: seconds for one checkpoint; most: largest interval allowed. trained: seconds that this attempt had trained
    at its last checkpoint, None for a run that was never interrupted. An interrupted run saves whenever it has trained
    half as long again, so that it ends even if it is killed repeatedly.
    """
    every = max(LEAST_SECONDS, COSTS * cost)
    if trained is not None:
        every = min(every, max(LEAST_SECONDS, cost, REGAINED * trained))
    return min(every, most)


def milestone_interval(interval: float, cost: float) -> float:
    """Return the least seconds between a checkpoint and one at a milestone; interval: between two other checkpoints."""
    return min(interval, max(MILESTONE_SECONDS, 10 * cost))


class Callbacks:
    """Called by the loop from time to time; returns False when the run is to stop."""

    def __init__(self, attempt: Attempt, trainer: Trainer, saver: Saver) -> None:
        self.attempt, self.trainer, self.saver = attempt, trainer, saver
        self._began = self._watched = self._saved = monotonic()
        self._step = trainer.step

    def __call__(self) -> bool:
        """Report progress and save a checkpoint where they are due; return False if the run is to stop."""
        now = monotonic()
        self.saver.check()
        if self.attempt.is_to_stop:
            return False
        if self.attempt.watch is not None and now - self._watched >= WATCH_SECONDS:
            self.attempt.watch(self._progress(now))
        if now - self._saved >= self.interval:
            self._checkpoint()
        return True

    def milestone(self) -> None:
        """Checkpoint after a milestone, unless the last checkpoint is only seconds old."""
        if monotonic() - self._saved >= milestone_interval(self.interval, self.saver.cost):
            self._checkpoint()

    @property
    def interval(self) -> float:
        """The current interval between checkpoints, in seconds."""
        most, trained = self.trainer.run.config.train.checkpoint_seconds, self._saved - self._began
        return checkpoint_interval(self.saver.cost, most=most, trained=trained if self.attempt.again else None)

    def _checkpoint(self) -> None:
        self.saver.save()
        self._saved = monotonic()

    def _progress(self, now: float) -> Progress:
        step, quantities = self.trainer.step, self.trainer.run.quantities
        progress = Progress(
            step=step,
            steps=quantities.steps,
            D=step * quantities.batch,
            loss=self.trainer.mean_loss(),
            examples_per_second=(step - self._step) * quantities.batch / (now - self._watched),
            began=self.trainer.began,
        )
        self._watched, self._step = now, step
        return progress
