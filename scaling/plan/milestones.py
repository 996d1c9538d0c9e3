"""Milestones: the steps at which a run is evaluated.

`train.milestones` is null (only the end), a whole number n (n points in geometric progression up to the end), a list
of epochs, or {unit: examples | epochs | steps | flops, at: [...]} with `at` a list or
{from: a, to: b, num: n, spacing: log | linear}, as in a sweep's grid. The last step is always a milestone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from scaling.errors import UserError
from scaling.plan.grid import check_count, spaced

UNITS = ("examples", "epochs", "steps", "flops")
FIRST_SHARE = 0.01  # of the run: the first of n geometric milestones


def milestone_steps(
    spec: Any, *, steps: int, batch: int, D_unique: int, flops_per_example: int, once: int = 0
) -> tuple[int, ...]:
    """Return the steps (ascending, the last one included) at which a run is evaluated.

    once: FLOPs spent before the first step.
    """
    if spec is None:
        return (steps,)
    if isinstance(spec, int) and not isinstance(spec, bool) and spec >= 1:
        check_count(spec, "train.milestones")
        wanted = geometric(max(1.0, FIRST_SHARE * steps), steps, spec)
        return _distinct(wanted, steps)
    unit, at = _read(spec)
    examples = {"examples": 1.0, "epochs": D_unique, "steps": batch, "flops": 1.0 / flops_per_example}[unit]
    before = once if unit == "flops" else 0
    wanted = [(value - before) * examples / batch for value in at]
    late = [value for value, step in zip(at, wanted, strict=True) if int(step + 1e-9) > steps]  # whole batches
    if late:
        end = before + steps * batch / examples
        raise UserError(
            f"found a milestone at {late[0]:g} {unit}; wanted none beyond the run's end ({end:g} {unit}); drop it"
        )
    return _distinct(wanted, steps)


def check_whole_steps(spec: Any) -> None:
    """Raise UserError for a milestone at a part of a step; runs stored by earlier versions may have one."""
    if not isinstance(spec, Mapping) or isinstance(spec.get("at"), Mapping):
        return  # those of a range are rounded
    unit, at = _read(spec)
    broken = [number for number in at if unit == "steps" and not number.is_integer()]
    if broken:
        raise UserError(f"found a milestone at {broken[0]:g} steps; wanted a whole number; change train.milestones")


def geometric(start: float, stop: float, num: int) -> list[float]:
    """Return `num` values in geometric progression, both ends included (only `stop` for one)."""
    if num == 1:
        return [stop]
    return [start * (stop / start) ** (i / (num - 1)) for i in range(num)]


def _read(spec: Any) -> tuple[str, list[float]]:
    if isinstance(spec, Sequence) and not isinstance(spec, str):
        return "epochs", _numbers(spec)
    if not isinstance(spec, Mapping) or set(spec) != {"unit", "at"} or spec["unit"] not in UNITS:
        raise UserError(
            f"found train.milestones={spec!r}; wanted null, a number, a list of epochs or "
            f"{{unit: {'|'.join(UNITS)}, at: [...]}}; change it"
        )
    at = spec["at"]
    if isinstance(at, Mapping):
        return spec["unit"], [float(value) for value in spaced(at, where="train.milestones.at")]
    return spec["unit"], _numbers(at)


def _numbers(values: Any) -> list[float]:
    if not isinstance(values, Sequence) or not all(isinstance(v, int | float) and v > 0 for v in values):
        raise UserError(f"found milestones {values!r}; wanted a list of positive numbers; change train.milestones")
    return [float(value) for value in values]


def _distinct(wanted: Sequence[float], steps: int) -> tuple[int, ...]:
    return tuple(sorted({min(steps, max(1, round(step))) for step in wanted} | {steps}))
