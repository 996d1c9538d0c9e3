"""Users' schedules: check that a factor is a number that follows from the step alone."""

from __future__ import annotations

from functools import partial
from math import isfinite
from typing import Any

from scaling.errors import UserError, check_once
from scaling.global_streams import own_streams
from scaling.security.modules import is_shipped, path_of

MOST = 1_000  # steps that are looked at, spread over a run


def check_users_schedule(schedule: Any, steps: int) -> None:
    """Raise UserError if a user's schedule gives no finite factor from 0 on, or not the same one each time."""
    if not is_shipped(type(schedule)):
        check_once(f"{type(schedule)} {schedule} {steps}", partial(_check, schedule, steps))


def _check(schedule: Any, steps: int) -> None:
    places = sorted({steps - 1, *range(0, steps, -(-steps // MOST))})
    seen = []
    for seed in range(2):  # of the global generators, from which a factor must not be drawn
        with own_streams(seed):
            seen.append([_factor(schedule, step, steps) for step in places])
    for step, one, other in zip(places, *seen, strict=True):
        if one != other:
            raise UserError(
                f"found {path_of(type(schedule))}, whose factor({step}, {steps}) is {one:g} and then {other:g}; wanted "
                f"the same each time, as a resumed run asks again; compute it from the step alone"
            )


def _factor(schedule: Any, step: int, steps: int) -> float:
    name = f"{path_of(type(schedule))}, whose factor({step}, {steps})"
    try:
        factor = float(schedule.factor(step, steps))
    except Exception as error:
        raise UserError(f"found {name} fails ({type(error).__name__}: {error}); wanted a number; mend it") from error
    if not isfinite(factor) or factor < 0:
        raise UserError(f"found {name} is {factor:g}; wanted a finite number, 0 or more; mend it")
    return factor
