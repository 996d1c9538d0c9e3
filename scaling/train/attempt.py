"""One attempt at a run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch

from scaling.content.content import NOTHING_KNOWN, Content
from scaling.folders import RunFolder, read_lines
from scaling.plan.planned import PlannedRun
from scaling.train.feed.run_data import RunData
from scaling.train.output.journal import Journal


@dataclass(frozen=True)
class Progress:
    """The progress of a run.

    D: examples processed; loss: mean training loss since the last report; began: the first step of this attempt;
    seconds: of this attempt, for a member of a stack its share of them; None: all seconds since the run was claimed.
    """

    step: int
    steps: int
    D: int
    loss: float
    examples_per_second: float
    began: int = 0
    seconds: float | None = None


@dataclass(frozen=True)
class PlacedRun:
    """A run, its folder, and the device it is trained on."""

    run: PlannedRun
    folder: RunFolder
    device: torch.device


@dataclass(frozen=True)
class Attempt(PlacedRun):
    """A placed run with its data on the device and the journal of its points.

    content: digests of the code when the attempt began, and of the data that it reads; notes: facts that a stage adds
    to the record's `data`; how: facts that are added to the record's `how`; watch: called with the progress; stop:
    returns whether the run is to stop.
    """

    sets: RunData
    journal: Journal
    content: Content = NOTHING_KNOWN
    notes: dict[str, Any] = field(default_factory=dict)
    how: dict[str, Any] = field(default_factory=dict)
    watch: Callable[[Progress], None] | None = None
    stop: Callable[[], bool] | None = None

    @cached_property
    def again(self) -> bool:
        """Whether an earlier attempt did not finish the run."""
        return any(read_lines(self.folder.attempts))

    @property
    def is_to_stop(self) -> bool:
        """Whether the run is asked to stop."""
        return self.stop is not None and self.stop()

    def state_with(self, trainer: dict[str, Any]) -> dict[str, Any]:
        """Return the state for a checkpoint; trainer: the state of the trainer, a part of it."""
        return {"trainer": trainer, "journal": self.journal.state(), "content": self.content.to_dict()}


def content_read(found: Content, sets: RunData) -> Content:
    """Return the digests `found`, with that of the data from the time at which this process read it."""
    return found if sets.splits.digest is None else replace(found, data=sets.splits.digest)
