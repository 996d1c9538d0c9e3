"""Callbacks of the training loop: whether to stop, progress, checkpoints."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

from scaling.train.loop import Trainer

WATCH_SECONDS = 1.0  # between two reports
MILESTONE_SECONDS = 2.0  # between a checkpoint and one at a milestone


@dataclass(frozen=True)
class Progress:
    """The progress of a run: `D`: examples seen; `loss`: mean training loss since the last report."""

    step: int
    steps: int
    D: int
    loss: float
    examples_per_second: float


class Callbacks:
    """Called by the loop from time to time; returns False when the run is to stop."""

    def __init__(
        self,
        trainer: Trainer,
        save: Callable[[], None],
        *,
        watch: Callable[[Progress], None] | None,
        stop: Callable[[], bool] | None,
    ) -> None:
        self.trainer, self.save, self.watch, self.stop = trainer, save, watch, stop
        self.every = trainer.run.config.train.checkpoint_seconds
        self._watched = self._saved = monotonic()
        self._step = trainer.step

    def __call__(self) -> bool:
        """Do what is due by the clock."""
        now = monotonic()
        if self.stop is not None and self.stop():
            return False
        if self.watch is not None and now - self._watched >= WATCH_SECONDS:
            self.watch(self._progress(now))
        if now - self._saved >= self.every:
            self.checkpoint()
        return True

    def milestone(self) -> None:
        """Checkpoint after a milestone, unless the last checkpoint is only seconds old."""
        if monotonic() - self._saved >= min(self.every, MILESTONE_SECONDS):
            self.checkpoint()

    def checkpoint(self) -> None:
        """Write a checkpoint now."""
        self.save()
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
        )
        self._watched, self._step = now, reading.step
        return progress
