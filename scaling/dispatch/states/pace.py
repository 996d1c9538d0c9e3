"""What the steps of a stack cost: something once, which its members share, and something for each of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from operator import mul

from scaling.dispatch.states.state import RunState

ROUNDING = 1e-12


@dataclass(frozen=True)
class Pace:
    """Seconds of a stack's step: once, and for each member."""

    once: float
    each: float

    def share(self, steps: float, *, paid: float) -> float:
        """Return the seconds of one member; paid: the steps that it pays for, as others share them."""
        return self.once * paid + self.each * steps


def shape_of(run: RunState) -> float:
    """Return what runs of one model and batch have in common: FLOPs a step, 0 if unknown."""
    return run.C / run.steps if run.steps else 0.0


def steps_of(run: RunState) -> int:
    """Return the steps of a run; 1 if unknown."""
    return run.steps or 1


def pace_of(runs: Collection[RunState], seconds: Mapping[str, float]) -> Pace:
    """Return the pace of runs of one shape; seconds: of whole runs, by run_id.

    Runs with different numbers of members show which part of the seconds is paid once a step; without them it is half.
    """
    total, steps = sum(seconds[run.run_id] for run in runs), [steps_of(run) for run in runs]
    paid = [steps_of(run) / run.members for run in runs]
    once, each = total / sum(paid), total / sum(steps)
    least = [each * whole for whole in steps]  # of a run, if nothing is paid once
    more = [once * part - low for part, low in zip(paid, least, strict=True)]
    found = [seconds[run.run_id] - low for run, low in zip(runs, least, strict=True)]
    spread = sum(value**2 for value in more)
    part = sum(map(mul, found, more)) / spread if spread > ROUNDING * total**2 else 0.5
    part = min(1.0, max(0.0, part))
    return Pace(part * once, (1 - part) * each)
