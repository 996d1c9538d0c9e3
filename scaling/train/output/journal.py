"""The points of a run and of its learning curve, appended to log.jsonl as they are evaluated."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from time import monotonic
from typing import Any

from scaling.folders import RunFolder, append_lines, exists, read_lines, write_atomically
from scaling.record import Point, finite

WRITE_SECONDS = 1.0  # between two writes of a learning curve: each is slow on a network file system


class Journal:
    """The points and seconds of a run so far, including earlier attempts.

    clock: measures the time of runs that share a device; last_noted: step of the learning curve's last point, 0 before
    the first; origin: the step that the first attempt began at, 0 or that of a fork.
    """

    def __init__(self, folder: RunFolder, *, clock: Callable[[], float] | None = None) -> None:
        self.folder, self.points = folder, list[Point]()
        self._clock = clock or monotonic
        self._started, self._before = self._clock(), 0.0
        self.examples_per_second = 0.0
        self.last_noted = self.origin = 0
        self._noted, self._wrote = list[dict[str, Any]](), monotonic()

    @property
    def seconds(self) -> float:
        """Wall-clock seconds of this attempt and of those that it continues."""
        return self._before + self.attempt_seconds

    @property
    def attempt_seconds(self) -> float:
        """Seconds of this attempt."""
        return self._clock() - self._started

    @property
    def last_step(self) -> int:
        """The step of the last point, 0 before the first."""
        return self.points[-1].step if self.points else 0

    def begin(self, state: dict[str, Any] | None) -> None:
        """Start from a checkpoint's state, or from the beginning; remove later lines from the log."""
        if state is not None:
            self._before = state["seconds"]
            self.points = [Point(**point) for point in state["points"] if not point["final"]]
            self.last_noted, self.origin = state.get("noted", 0), state.get("origin", 0)
        if not exists(self.folder.log):
            return
        kept = [line for line in read_lines(self.folder.log) if line.get("step", 0) <= self._last_of(line)]
        write_atomically(self.folder.log, "".join(json.dumps(line) + "\n" for line in kept))

    def _last_of(self, line: dict[str, Any]) -> int:
        """Return the last step for lines of the same kind as this one."""
        return self.last_step if "final" in line else self.last_noted

    def add(self, point: Point) -> None:
        """Add a point, and append it to the log."""
        self.points.append(point)
        self._write(self._line(asdict(point)))

    def note(self, step: int, train_loss: float, val_loss: float) -> None:
        """Add a point of the learning curve to the log, as a line without `final`.

        Lines are buffered, and written with the first one a second after the last write, a milestone or a checkpoint.
        """
        self.last_noted = step
        self._noted.append(self._line({"step": step, "train_loss": train_loss, "val_loss": val_loss}))
        if monotonic() - self._wrote >= WRITE_SECONDS:
            self._write()

    def _line(self, entry: dict[str, Any]) -> dict[str, Any]:
        return {**finite(entry), "seconds": round(self.seconds, 3)}

    def _write(self, *lines: dict[str, Any]) -> None:
        append_lines(self.folder.log, [*self._noted, *lines])
        self._noted, self._wrote = [], monotonic()

    def trained(self, seconds: float, examples: int) -> None:
        """Set the training speed of this attempt; seconds: without evaluations."""
        self.examples_per_second = examples / seconds if seconds else 0.0

    def state(self) -> dict[str, Any]:
        """Return the state for a checkpoint."""
        if self._noted:
            self._write()
        points = [asdict(point) for point in self.points]
        return {"seconds": self.seconds, "points": points, "noted": self.last_noted, "origin": self.origin}
