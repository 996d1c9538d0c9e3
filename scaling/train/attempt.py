"""One attempt at a run: what it works with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch

from scaling.folders import RunFolder
from scaling.plan.planned import PlannedRun
from scaling.train.feed.sets import Sets
from scaling.train.output.journal import Journal


@dataclass(frozen=True)
class Attempt:
    """A run, its folder, the device it is trained on, its data there, and the journal of its points.

    notes: further facts of a stage for the record.
    """

    run: PlannedRun
    folder: RunFolder
    device: torch.device
    sets: Sets
    journal: Journal
    notes: dict[str, Any] = field(default_factory=dict)
