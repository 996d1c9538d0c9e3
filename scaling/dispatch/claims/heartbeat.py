"""The heartbeat thread of a worker: it keeps claims alive, and checks for reasons to stop."""

from __future__ import annotations

import logging
import math
import os
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from scaling.dispatch.claims.claim import HeldClaim
from scaling.dispatch.claims.stop import Stop, StopCheck
from scaling.folders import Place

log = logging.getLogger(__name__)
TICK = 0.2  # least seconds between two checks for reasons to stop
CHECKS = 5  # checks for each heartbeat of a claim
BEATEN = 32  # most heartbeats per period: each waits for the disk, and a stack may have hundreds of claims


@dataclass
class Hold:
    """A held claim and the progress of its run.

    period: seconds between heartbeats, if it were the only claim; stuck_seconds: without progress, after which this
    process ends itself; beaten, advanced: monotonic times of the last heartbeat and the last progress.
    """

    held: HeldClaim
    period: float
    stuck_seconds: float | None
    beaten: float
    advanced: float
    progress: dict[str, float] | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)  # held during a heartbeat or release


class Heartbeat(threading.Thread):
    """Writes the heartbeats of held claims, and passes on reasons to stop; home: the results, which must not move."""

    def __init__(self, stop: Stop, checks: Sequence[StopCheck] = (), *, home: Place | None = None) -> None:
        super().__init__(name="heartbeat", daemon=True)
        self._stop_asked = stop
        self._checks = checks
        self._home = home
        self._lock = threading.Lock()
        self._end = threading.Event()
        self._holds: dict[str, Hold] = {}
        self._logged = ""  # the last logged error

    def hold(self, run_id: str, held: HeldClaim, *, stuck_seconds: float | None = None) -> None:
        """Start the heartbeats of a claim; stuck_seconds: without progress, after which this process ends itself."""
        with self._lock:
            self._stop_asked.runs.pop(run_id, None)
            now = time.monotonic()
            self._holds[run_id] = Hold(held, held.claim.period, stuck_seconds, beaten=now, advanced=now)

    def drop(self, run_id: str) -> None:
        """Stop the heartbeats of a claim and release it, if it is held."""
        with self._lock:
            hold = self._holds.pop(run_id, None)
        if hold is not None:
            with hold.lock:
                hold.held.release()

    def begin_together(self) -> None:
        """Write the size of the stack into every claim, so that a dead worker's claims show that it trained a stack.

        It does not wait for the disk, because training waits for it. The thread does so at its next heartbeat: on a
        network file system other machines would otherwise see the claims unchanged for half a minute, and take them
        for dead.
        """
        with self._lock:
            for hold in self._holds.values():
                with hold.lock:
                    hold.advanced, hold.beaten = time.monotonic(), -math.inf
                    hold.held.beat(hold.progress, stack=len(self._holds), period=self._period(hold), sync=False)

    def watch(self, run_id: str, progress: Any) -> None:
        """Note the progress of a run, which is written with the next heartbeat."""
        hold, values = self._holds.get(run_id), progress if isinstance(progress, Mapping) else vars(progress)
        if hold is None:
            return
        if hold.progress is None or values.get("step") != hold.progress.get("step"):
            hold.advanced = time.monotonic()
        known = {key: value for key, value in values.items() if value is not None and math.isfinite(value)}
        since = time.time() - hold.held.claim.since
        hold.progress = {"seconds": since, **known, "noted": since}

    def step(self, run_id: str) -> int | None:
        """Return the step of a held run, None if it is unknown."""
        hold = self._holds.get(run_id)
        progress = (hold.progress if hold is not None else None) or {}
        return int(progress["step"]) if "step" in progress else None

    def reason_not_to_start(self, run_id: str) -> str:
        """Return the reason not to start a run, or ''; end this process if the results were moved."""
        self._end_if_moved(run_id)
        for check in self._checks:
            everything, this = check(run_id)
            if everything:
                self._stop_asked.say(everything)
            if everything or this:
                return everything or this
        return self._stop_asked.reason

    def run(self) -> None:
        """Check and write heartbeats until `end`."""
        began = time.monotonic()
        while not self._end.wait(pause := self._tick()):
            late, began = time.monotonic() - began - pause, time.monotonic()
            try:
                with self._lock:
                    self.pass_over(late)
                self._round()
            except Exception as error:  # an unreadable file, or an effect of a run's code on this process
                self._log_once(error)

    def _log_once(self, error: Exception) -> None:
        """Log an error unless it repeats the last one."""
        if repr(error) != self._logged:
            log.exception("a check for reasons to stop failed; it is made again")
        self._logged = repr(error)

    def _round(self) -> None:
        """Check, and write the heartbeats that are due; dropping a claim waits at most for its own heartbeat."""
        with self._lock:
            holds = dict(self._holds)
        if holds:
            self._end_if_moved(next(iter(holds)))
        try:
            self._check(holds)
        finally:  # without heartbeats a claim would seem dead
            for run_id, hold in holds.items():
                with hold.lock:
                    if self._holds.get(run_id) is hold:
                        self._beat(run_id, hold)
                        self._end_if_stuck(run_id, hold)

    def pass_over(self, seconds: float) -> None:
        """Do not count seconds in which this thread did not run either: the process was suspended, or had no CPU."""
        now = time.monotonic()
        for hold in self._holds.values():
            hold.advanced = min(now, hold.advanced + max(0.0, seconds))

    def _tick(self) -> float:
        """Return the seconds until the next check, longer for slow heartbeats, to spare the file system."""
        with self._lock:
            hold = next(iter(self._holds.values()), None)
        return TICK if hold is None else max(TICK, hold.period / CHECKS)

    def end(self) -> None:
        """Stop the thread."""
        self._end.set()

    def _check(self, run_ids: Mapping[str, Hold]) -> None:
        for check in self._checks:
            for run_id in run_ids or ("",):
                everything, this = check(run_id)
                if everything:
                    self._stop_asked.say(everything)
                if this:
                    self._stop_asked.runs[run_id] = this

    def _beat(self, run_id: str, hold: Hold) -> None:
        now = time.monotonic()
        if now - hold.beaten < hold.held.claim.period:  # as others expect it, however many are held by now
            return
        hold.beaten = now
        if not hold.held.beat(hold.progress, stack=len(self._holds), period=self._period(hold)):
            self._stop_asked.runs[run_id] = "superseded"

    def _period(self, hold: Hold) -> float:
        """Return the seconds between two heartbeats of a claim, given the number of held claims."""
        return hold.period * max(1.0, len(self._holds) / BEATEN)

    def _end_if_stuck(self, run_id: str, hold: Hold) -> None:
        """End this process if the run makes no progress: a stuck training loop cannot be asked to stop."""
        still = time.monotonic() - hold.advanced
        if hold.stuck_seconds is not None and still > hold.stuck_seconds:
            self._end_process(run_id, f"no step was made for {still:.0f} s")

    def _end_if_moved(self, run_id: str) -> None:
        """End this process if the results are elsewhere now: it would make the folder anew and train all runs there."""
        if self._home is not None and self._home.gone:
            self._end_process(run_id, "the results were moved away from under this worker")

    def _end_process(self, run_id: str, why: str) -> None:
        """End this process at once without writing anything; another worker continues from the checkpoint."""
        log.critical("run %s: %s; its worker ends itself", run_id, why)
        os.kill(os.getpid(), signal.SIGKILL)
