"""Callbacks of the training loop: whether to stop, progress, checkpoints."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

from scaling.train.loop import Trainer
from scaling.train.output.saver import Saver

WATCH_SECONDS = 1.0  # between two reports
MILESTONE_SECONDS = 2.0  # between a checkpoint and one at a milestone, and a tenth of the time that they take
LEAST_SECONDS = 1.0  # between two checkpoints, unless train.checkpoint_seconds is less
COSTS = 50  # between two checkpoints, in times of what one takes: 2 % of the time
REGAINED = 1 / 2  # of what an attempt had trained by its last checkpoint: it loses a third at most


@dataclass(frozen=True)
class Progress:
    """The progress of a run: D: examples seen; loss: mean training loss since the last report.

    began: the step that this attempt took it up at.
    """

    step: int
    steps: int
    D: int
    loss: float
    examples_per_second: float
    began: int = 0


def pause(cost: float, *, most: float, trained: float | None) -> float:
    """Return the seconds between two checkpoints: few enough to lose little, enough for them to cost little.

    cost, most: seconds that one takes, and that may pass between two. trained: seconds that an attempt had trained by
    its last checkpoint, None unless the run has been cut off before: then it saves whenever it has trained half as long
    again, so that a run that is killed every so often ends as well.
    """
    every = max(LEAST_SECONDS, COSTS * cost)
    if trained is not None:
        every = min(every, max(LEAST_SECONDS, cost, REGAINED * trained))
    return min(every, most)


class Callbacks:
    """Called by the loop from time to time; returns False when the run is to stop.

    again: the run has been tried before, and did not end.
    """

    def __init__(
        self,
        trainer: Trainer,
        saver: Saver,
        *,
        again: bool,
        watch: Callable[[Progress], None] | None,
        stop: Callable[[], bool] | None,
    ) -> None:
        self.trainer, self.saver, self.again, self.watch, self.stop = trainer, saver, again, watch, stop
        self._began = self._watched = self._saved = monotonic()
        self._step = trainer.step

    def __call__(self) -> bool:
        """Do what is due by the clock."""
        now = monotonic()
        self.saver.check()
        if self.stop is not None and self.stop():
            return False
        if self.watch is not None and now - self._watched >= WATCH_SECONDS:
            self.watch(self._progress(now))
        if now - self._saved >= self.interval:
            self._checkpoint()
        return True

    def milestone(self) -> None:
        """Checkpoint after a milestone, unless the last checkpoint is only seconds old."""
        if monotonic() - self._saved >= min(self.interval, max(MILESTONE_SECONDS, 10 * self.saver.cost)):
            self._checkpoint()

    @property
    def interval(self) -> float:
        """Seconds between two checkpoints now."""
        most, trained = self.trainer.run.config.train.checkpoint_seconds, self._saved - self._began
        return pause(self.saver.cost, most=most, trained=trained if self.again else None)

    def _checkpoint(self) -> None:
        """Have a checkpoint written."""
        self.saver.save()
        self._saved = monotonic()

    def _progress(self, now: float) -> Progress:
        reading, quantities = self.trainer.reading(), self.trainer.run.quantities
        done = (reading.step - self._step) * quantities.batch
        progress = Progress(
            step=reading.step,
            steps=quantities.steps,
            D=reading.step * quantities.batch,
            loss=reading.loss,
            examples_per_second=done / (now - self._watched),
            began=self.trainer.began,
        )
        self._watched, self._step = now, reading.step
        return progress
