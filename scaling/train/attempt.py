"""One attempt at a run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch

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

    notes: facts that a stage adds to the record's data; how: facts that are added to the record's `how`.
    """

    sets: RunData
    journal: Journal
    notes: dict[str, Any] = field(default_factory=dict)
    how: dict[str, Any] = field(default_factory=dict)
