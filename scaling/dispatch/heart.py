"""The thread beside the training loop: it beats the claim and looks for a reason to leave."""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scaling.dispatch.claim import HeldClaim
from scaling.dispatch.process import Process

TICK = 0.2  # seconds between two looks at the reasons to leave


class Stop:
    """Whether to leave, and why; the training loop asks at every step, so the answer is one attribute.

    `reason`: for the whole worker (interrupted, cancelled, preempted, …); `run_reason`: for the present run alone.
    """

    def __init__(self) -> None:
        self.reason = ""
        self.run_reason = ""

    def __call__(self) -> bool:
        """Return whether to leave."""
        return bool(self.reason or self.run_reason)

    def say(self, reason: str) -> None:
        """Ask the worker to leave; the first reason stays."""
        self.reason = self.reason or reason


@dataclass(frozen=True)
class Wish:
    """What a stop file says: leave for `cause`, or leave the named runs alone."""

    cause: str
    runs: tuple[str, ...] | None = None

    def dump(self) -> str:
        """Return the wish as JSON."""
        return json.dumps({"cause": self.cause, "runs": self.runs})


def read_wish(path: Path) -> Wish | None:
    """Return what a stop file says, None where there is none."""
    try:
        raw = json.loads(path.read_text())
        return Wish(raw["cause"], None if raw["runs"] is None else tuple(raw["runs"]))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def stop_file(path: Path) -> Callable[[str], tuple[str, str]]:
    """Return a look at a stop file: (why the worker should leave, why the given run should be left), empty for no."""
    seen: list[Any] = [None, None]

    def look(run_id: str) -> tuple[str, str]:
        try:
            stamp = path.stat().st_mtime_ns
        except OSError:
            return "", ""
        if stamp != seen[0]:
            seen[:] = [stamp, read_wish(path)]
        wish: Wish | None = seen[1]
        if wish is None:
            return "", ""
        if wish.runs is None:
            return wish.cause, ""
        return "", wish.cause if run_id in wish.runs else ""

    return look


def gone(parent: Process) -> Callable[[str], tuple[str, str]]:
    """Return a look at the process that started this one."""
    return lambda run_id: ("orphaned", "") if parent.gone else ("", "")


class Heart(threading.Thread):
    """Beats the claim that is held, and passes on reasons to leave."""

    def __init__(self, stop: Stop, looks: Sequence[Callable[[str], tuple[str, str]]] = ()) -> None:
        super().__init__(name="heart", daemon=True)
        self._stop_asked = stop
        self._looks = looks
        self._lock = threading.Lock()
        self._end = threading.Event()
        self._held: HeldClaim | None = None
        self._run_id = ""
        self._progress: dict[str, float] | None = None
        self._beaten = 0.0

    def hold(self, run_id: str, held: HeldClaim) -> None:
        """Begin to beat a claim."""
        with self._lock:
            self._stop_asked.run_reason = ""
            self._held, self._run_id, self._progress, self._beaten = held, run_id, None, time.monotonic()

    def drop(self) -> None:
        """Stop beating and release the claim."""
        with self._lock:
            held, self._held = self._held, None
        if held is not None:
            held.release()

    def watch(self, progress: Any) -> None:
        """Note how far the run is; it is written down with the next beat."""
        values = progress if isinstance(progress, Mapping) else vars(progress)
        self._progress = {key: value for key, value in values.items() if value is not None and math.isfinite(value)}

    def refused(self, run_id: str) -> str:
        """Return why a run is not to be begun, empty if it is."""
        for look in self._looks:
            everything, this = look(run_id)
            if everything:
                self._stop_asked.say(everything)
            if everything or this:
                return everything or this
        return self._stop_asked.reason

    def run(self) -> None:
        """Look and beat until the end."""
        while not self._end.wait(TICK):
            with self._lock:
                self._look()
                self._beat()

    def end(self) -> None:
        """Stop the thread."""
        self._end.set()

    def _look(self) -> None:
        for look in self._looks:
            everything, this = look(self._run_id)
            if everything:
                self._stop_asked.say(everything)
            if this:
                self._stop_asked.run_reason = this

    def _beat(self) -> None:
        now = time.monotonic()
        if self._held is None or now - self._beaten < self._held.claim.period:
            return
        self._beaten = now
        if not self._held.beat(self._progress):
            self._stop_asked.run_reason = "superseded"
