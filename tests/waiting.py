"""Waiting in tests, in one place: for what comes about, never for a moment to pass; and what a wait is for."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

RULE = '''\
"""A constant rate whose last step waits for the file `gate`: until then the run is under way, on any machine."""

import sys
import time
from dataclasses import dataclass
from pathlib import Path

from scaling.schedules.constant import Constant

@dataclass(frozen=True)
class Waiting(Constant):
    def factor(self, step: int, steps: int) -> float:
        until = time.monotonic() + 1800  # a test that failed opens no gate
        trains = sys._getframe(1).f_globals["__name__"] != "scaling.schedules.users_schedule"  # which checks it before
        while trains and step == steps - 1 and not Path("gate").exists() and time.monotonic() < until:
            time.sleep(0.02)
        return super().factor(step, steps)
'''


def wait_for(condition: Callable[[], object], seconds: float = 300.0) -> None:
    """Wait until it is so; the bound is for what never comes, and far beyond what a busy machine needs."""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            raise TimeoutError(f"waited {seconds:g} s in vain")
        time.sleep(0.02)


def write_gate(folder: Path) -> Path:
    """Give the user of a folder `schedule=waiting`, and return the file that lets its runs end."""
    (folder / "waiting.py").write_text(RULE)
    (folder / "conf" / "schedule").mkdir(parents=True, exist_ok=True)
    (folder / "conf" / "schedule" / "waiting.yaml").write_text("_target_: waiting.Waiting\n")
    return folder / "gate"


class Clock:
    """A clock that stands still until it is wound by hand; `pace`: seconds that each look at it takes."""

    def __init__(self, pace: float = 0.0) -> None:
        self.now, self.pace = 0.0, pace

    def __call__(self) -> float:
        self.now += self.pace
        return self.now
