"""What one attempt at a run works with."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from scaling.folders import RunFolder
from scaling.plan import PlannedRun
from scaling.train.examiner import Sets
from scaling.train.journal import Journal


@dataclass(frozen=True)
class Attempt:
    """A run, its folder, the device it is trained on, its data there, and the points it has come to."""

    run: PlannedRun
    folder: RunFolder
    device: torch.device
    sets: Sets
    journal: Journal
