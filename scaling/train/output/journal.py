"""The points of a run, appended to log.jsonl as they are evaluated."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from time import monotonic
from typing import Any

from scaling.folders import RunFolder, append_line, read_lines, write_aside
from scaling.record import Point, finite


class Journal:
    """The points so far and the seconds they took, earlier attempts included; clock: of runs that share a device."""

    def __init__(self, folder: RunFolder, *, clock: Callable[[], float] | None = None) -> None:
        self.folder, self.points = folder, list[Point]()
        self._clock = clock or monotonic
        self._started, self._before = self._clock(), 0.0
        self.examples_per_second = 0.0

    @property
    def seconds(self) -> float:
        """Wall-clock seconds of this attempt and of those it continues."""
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
        """Start from the state of a checkpoint, or afresh; later lines are removed from the log."""
        if state is not None:
            self._before = state["seconds"]
            self.points = [Point(**point) for point in state["points"] if not point["final"]]
        if not self.folder.log.exists():
            return
        kept = [line for line in read_lines(self.folder.log) if line.get("step", 0) <= self.last_step]
        write_aside(self.folder.log, "".join(json.dumps(line) + "\n" for line in kept))

    def add(self, point: Point) -> None:
        """Add a point, and append it to the log."""
        self.points.append(point)
        append_line(self.folder.log, {**finite(asdict(point)), "seconds": round(self.seconds, 3)})

    def trained(self, seconds: float, examples: int) -> None:
        """Set the speed of this attempt's training, from its seconds without evaluations."""
        self.examples_per_second = examples / seconds if seconds else 0.0

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        return {"seconds": self.seconds, "points": [asdict(point) for point in self.points]}
