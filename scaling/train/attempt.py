"""What one attempt at a run works with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch

from scaling.folders import RunFolder
from scaling.plan.planned import PlannedRun
from scaling.train.examiner import Sets
from scaling.train.output.journal import Journal


@dataclass(frozen=True)
class Attempt:
    """A run, its folder, the device it is trained on, its data there, and the points it has come to.

    `notes`: what else a stage has to say in the record.
    """

    run: PlannedRun
    folder: RunFolder
    device: torch.device
    sets: Sets
    journal: Journal
    notes: dict[str, Any] = field(default_factory=dict)
