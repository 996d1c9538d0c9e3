"""The steps of a run's learning curve, without torch."""

from __future__ import annotations

from functools import cache

from scaling.plan.planned import PlannedRun
from scaling.train.sizes import CHECK_STEPS

ENOUGH = 3  # milestones: a run that has so many needs no learning curve
OFTEN = 512  # step from which on there are two points for each doubling of the steps; before it there is one


def curve_steps(run: PlannedRun) -> tuple[int, ...]:
    """Return the steps of a run's learning curve in ascending order, the run's last step included.

    At all the others the loop checks anyway that the loss is finite. () for a run with ENOUGH milestones, and for one
    so short that the curve would have only two points.
    """
    return () if len(run.quantities.milestones) >= ENOUGH else _steps_up_to(run.quantities.steps)


@cache
def _steps_up_to(steps: int) -> tuple[int, ...]:
    doubled = [CHECK_STEPS << k for k in range(max(0, (steps - 1) // CHECK_STEPS).bit_length())]
    between = [step * 3 // 2 for step in doubled if step >= OFTEN]
    before = sorted(step for step in (*doubled, *between) if step < steps)
    return (*before, steps) if len(before) > 1 else ()
