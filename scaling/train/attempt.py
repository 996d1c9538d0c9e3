"""One attempt at a run."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import torch

from scaling.content.content import NOTHING_KNOWN, Content
from scaling.folders import RunFolder
from scaling.plan.planned import PlannedRun
from scaling.train.feed.run_data import RunData
from scaling.train.output.journal import Journal


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
    to the record's `data`; how: facts that are added to the record's `how`.
    """

    sets: RunData
    journal: Journal
    content: Content = NOTHING_KNOWN
    notes: dict[str, Any] = field(default_factory=dict)
    how: dict[str, Any] = field(default_factory=dict)

    def state_with(self, trainer: dict[str, Any]) -> dict[str, Any]:
        """Return the state for a checkpoint; trainer: the state of the trainer, a part of it."""
        return {"trainer": trainer, "journal": self.journal.state(), "content": self.content.to_dict()}


def content_read(found: Content, sets: RunData) -> Content:
    """Return the digests `found`, with that of the data from the time at which this process read it."""
    return found if sets.splits.digest is None else replace(found, data=sets.splits.digest)
