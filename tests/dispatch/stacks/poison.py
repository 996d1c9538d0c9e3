"""Data that takes a run down in the midst of its training: with an error, or with its whole process."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from typing import ClassVar

from tests.train.runs import Blobs

BAD = 2  # the seed of the run that is taken down
AFTER = 3  # chunks of a hundred examples that it has before


@dataclass(frozen=True, kw_only=True)
class Poisoned(Blobs):
    """Blobs, fresh; those of one run cannot be drawn from some chunk on."""

    name: ClassVar[str] = "poisoned"
    deadly: bool = False

    def _draw(self, n, *seed):
        if len(seed) == 3 and seed[1] == BAD and seed[2] >= AFTER:
            if self.deadly:
                os.kill(os.getpid(), signal.SIGKILL)
            raise ValueError("these examples are poison")
        return super()._draw(n, *seed)
