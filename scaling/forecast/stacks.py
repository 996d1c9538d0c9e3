"""How many runs of one shape are worth training together, and what that saves."""

from __future__ import annotations

from scaling.forecast.estimate import work
from scaling.plan.planned import PlannedRun

# Numbers that a step of a stack goes through; beyond them more members gain nothing. On a CPU they are what the caches
# hold: measured on two cores with 2 MB of second-level cache each, widths 8 to 192, batches of 32 and 128. On a GPU,
# of an H100: 512 members of mlp 64 x 2 and 64 of mlp 256 x 2 at batches of 128 (see docs/speed.md).
NUMBERS = {"cpu": 1 << 22, "cuda": 1 << 27}
MOST = {"cpu": 64, "cuda": 512}
PER_WEIGHT, PER_ACTIVATION = 7, 4  # numbers: value, gradient, two moments, room for a step; outputs and gradients


def stack_size(run: PlannedRun, kind: str) -> int:
    """Return the most runs of this shape that are trained together on a kind of device: cpu or cuda."""
    if run.config.train.stack is not None:
        return run.config.train.stack
    step = work(run.config, batch=run.quantities.batch)
    numbers = PER_WEIGHT * step.weight + PER_ACTIVATION * step.activation + step.input
    return max(1, min(MOST[kind], NUMBERS[kind] // numbers))
