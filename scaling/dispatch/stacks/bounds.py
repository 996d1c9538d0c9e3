"""How large a worker's stacks may be: by what gains, and by the memory of the device."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from scaling.dispatch.queue import Entry
from scaling.dispatch.states.attempts import one_line

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Bounds:
    """The bounds of a stack of runs of one shape.

    most: members that gain; at_once: stacks in parallel; lone: whether one run can be one of these; kind: device and
    precision; room: bytes of memory for all of them; needs: returns the bytes of so many members that read so many data
    sets.
    """

    most: int
    at_once: int
    lone: bool
    kind: tuple[str, str]
    room: float
    needs: Callable[[int, int], int]

    def is_stack(self, team: Sequence[Entry]) -> bool:
        """Return whether claimed runs of this shape can be trained beside other stacks."""
        return len(team) > (0 if self.lone else 1)

    def memory(self, team: Sequence[Entry]) -> int:
        """Return the bytes that the stack of these runs needs."""
        sets = {repr((entry.run.get("config") or {}).get("data")) for entry in team}
        return self.needs(len(team), len(sets))


ALONE = Bounds(most=1, at_once=1, lone=False, kind=("", ""), room=0.0, needs=lambda members, sets: 0)


def bounds_of(leader: Entry, *, workers: int) -> Bounds:
    """Return the bounds of a stack of runs of this shape, on the device that it names and with the memory free now.

    workers: that may share the memory, 0 if unknown.
    """
    from scaling.forecast.stacks import SIDE_BY_SIDE, is_stack_by_itself, stack_size
    from scaling.forecast.work import stack_bytes
    from scaling.plan.identity import asked_precision
    from scaling.train.device import find_device, memory_for_stacks

    try:
        run = leader.planned_run()
        device = find_device(run.config.train.device)
        return Bounds(
            most=stack_size(run, device.type),
            at_once=SIDE_BY_SIDE[device.type],
            lone=is_stack_by_itself(run, device.type),
            kind=(str(device), asked_precision(run.config)),
            room=memory_for_stacks(device, workers=workers),
            needs=partial(stack_bytes, run, device.type),
        )
    except Exception as error:
        log.warning("run %s: %s", leader.run_id, one_line(error))
        return ALONE  # where the error is reported
