"""How the seconds of a stack's members grow with their steps.

A member pays less for its first steps, which it shares with shorter runs, than for its last ones. What it has paid up
to a step is about what a member that ends there pays in all.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import accumulate

from scaling.dispatch.states.state import RunState


@dataclass(frozen=True)
class Curve:
    """Values at some numbers of steps, both in ascending order; linear between them and from the origin."""

    steps: tuple[int, ...]
    values: tuple[float, ...]

    def __call__(self, step: int) -> float:
        """Return the value at a number of steps, at most the largest one."""
        i = bisect_left(self.steps, step)
        before, low = (self.steps[i - 1], self.values[i - 1]) if i else (0, 0.0)
        return low + (self.values[i] - low) * (step - before) / (self.steps[i] - before)


def shape_of(run: RunState) -> float:
    """Return what runs of one model and batch have in common: FLOPs a step, 0 if unknown."""
    return run.C / run.steps if run.steps else 0.0


def curve_of(stack: Iterable[RunState], seconds: Mapping[str, float]) -> Curve:
    """Return how the seconds of a stack's members grow with their steps; seconds: of whole runs, by run_id."""
    steps, values = zip(*sorted((run.steps or 0, seconds[run.run_id]) for run in stack), strict=True)
    return Curve(steps, tuple(accumulate(values, max)))
