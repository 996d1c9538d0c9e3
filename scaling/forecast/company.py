"""The company of a run that is trained in a stack: with how many it shares what its steps cost."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Company:
    """How many runs share a run's steps in its stack, itself included, and how many its fresh examples, in the mean."""

    members: float = 1.0
    readers: float = 1.0


ALONE = Company()
