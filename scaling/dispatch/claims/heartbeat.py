"""The heartbeat thread of a worker: it keeps the claim alive, and looks for a reason to stop."""

from __future__ import annotations

import logging
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from scaling.dispatch.claims.claim import HeldClaim
from scaling.dispatch.claims.stop import Stop
from scaling.folders import Place

log = logging.getLogger(__name__)
TICK = 0.2  # seconds between two looks at the reasons to leave, at the least
LOOKS = 5  # between two beats of a claim
BEATEN = 32  # claims in a period: each beat waits for the disk, and a stack of hundreds would do little else
Look = Callable[[str], tuple[str, str]]  # at a run: why its worker should leave, why the run should be left; '' for no


@dataclass
class Hold:
    """A claim that is held, and how far its run is.

    period: seconds between two beats of it, were it alone; stuck_seconds: without progress, after which this process
    ends.
    """

    held: HeldClaim
    period: float
    stuck_seconds: float | None
    beaten: float
    advanced: float
    progress: dict[str, float] | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)  # while it is beaten or released


class Heartbeat(threading.Thread):
    """Beats the claims that are held, and passes on reasons to leave; home: the results, which have to stay."""

    def __init__(self, stop: Stop, looks: Sequence[Look] = (), *, home: Place | None = None) -> None:
        super().__init__(name="heartbeat", daemon=True)
        self._stop_asked = stop
        self._looks = looks
        self._home = home
        self._lock = threading.Lock()
        self._end = threading.Event()
        self._holds: dict[str, Hold] = {}
        self._told = ""  # the error of the last look that failed

    def hold(self, run_id: str, held: HeldClaim, *, stuck_seconds: float | None = None) -> None:
        """Begin to beat a claim; stuck_seconds: without progress, after which this process ends itself."""
        with self._lock:
            self._stop_asked.runs.pop(run_id, None)
            now = time.monotonic()
            self._holds[run_id] = Hold(held, held.claim.period, stuck_seconds, beaten=now, advanced=now)

    def drop(self, run_id: str) -> None:
        """Stop beating a claim and release it; nothing where it is not held."""
        with self._lock:
            hold = self._holds.pop(run_id, None)
        if hold is not None:
            with hold.lock:
                hold.held.release()

    def begin_together(self) -> None:
        """Write into every claim how many are held: a stack that dies is known by what it leaves behind.

        Training waits for it, so it does not wait for the disk.
        """
        with self._lock:
            for hold in self._holds.values():
                with hold.lock:
                    hold.advanced = hold.beaten = time.monotonic()
                    hold.held.beat(hold.progress, stack=len(self._holds), period=self._period(hold), sync=False)

    def watch(self, run_id: str, progress: Any) -> None:
        """Note how far a run is; it is written down with the next beat."""
        hold, values = self._holds.get(run_id), progress if isinstance(progress, Mapping) else vars(progress)
        if hold is None:
            return
        if hold.progress is None or values.get("step") != hold.progress.get("step"):
            hold.advanced = time.monotonic()
        known = {key: value for key, value in values.items() if value is not None and math.isfinite(value)}
        hold.progress = {**known, "seconds": time.time() - hold.held.claim.since}

    def step(self, run_id: str) -> int | None:
        """Return how far a run is that is held; None where it has not said."""
        hold = self._holds.get(run_id)
        progress = (hold.progress if hold is not None else None) or {}
        return int(progress["step"]) if "step" in progress else None

    def reason_not_to_start(self, run_id: str) -> str:
        """Return the reason not to start a run, or ''."""
        for look in self._looks:
            everything, this = look(run_id)
            if everything:
                self._stop_asked.say(everything)
            if everything or this:
                return everything or this
        return self._stop_asked.reason

    def run(self) -> None:
        """Look and beat until the end."""
        began = time.monotonic()
        while not self._end.wait(pause := self._tick()):
            late, began = time.monotonic() - began - pause, time.monotonic()
            try:
                with self._lock:
                    self.pass_over(late)
                self._round()
            except Exception as error:  # a file that cannot be read now, or what a run's code does to this process
                self._log_once(error)

    def _log_once(self, error: Exception) -> None:
        """Tell of an error, but not at every look of the same one."""
        if repr(error) != self._told:
            log.exception("a look at the reasons to leave failed; the next one comes")
        self._told = repr(error)

    def _round(self) -> None:
        """Look, and beat what is due; who drops a claim meanwhile waits for a beat of that one alone."""
        with self._lock:
            holds = dict(self._holds)
        try:
            self._look(holds)
        finally:  # a claim that is not beaten is taken for that of a dead worker
            for run_id, hold in holds.items():
                with hold.lock:
                    if self._holds.get(run_id) is hold:
                        self._beat(run_id, hold)
                        self._end_if_stuck(run_id, hold)

    def pass_over(self, seconds: float) -> None:
        """Count seconds for none in which not even this thread ran: the process was suspended, or had no CPU."""
        now = time.monotonic()
        for hold in self._holds.values():
            hold.advanced = min(now, hold.advanced + max(0.0, seconds))

    def _tick(self) -> float:
        """Return the seconds until the next look: a thousand workers with slow beats look at their files seldom."""
        with self._lock:
            hold = next(iter(self._holds.values()), None)
        return TICK if hold is None else max(TICK, hold.period / LOOKS)

    def end(self) -> None:
        """Stop the thread."""
        self._end.set()

    def _look(self, run_ids: Mapping[str, Hold]) -> None:
        for look in self._looks:
            for run_id in run_ids or ("",):
                everything, this = look(run_id)
                if everything:
                    self._stop_asked.say(everything)
                if this:
                    self._stop_asked.runs[run_id] = this

    def _beat(self, run_id: str, hold: Hold) -> None:
        now, period = time.monotonic(), self._period(hold)
        if now - hold.beaten < period:
            return
        hold.beaten = now
        if self._home is not None and self._home.gone:
            self._end_process(run_id, "the results were moved away from under this worker")
        if not hold.held.beat(hold.progress, stack=len(self._holds), period=period):
            self._stop_asked.runs[run_id] = "superseded"

    def _period(self, hold: Hold) -> float:
        """Return the seconds between two beats of a claim among those that are held now."""
        return hold.period * max(1.0, len(self._holds) / BEATEN)

    def _end_if_stuck(self, run_id: str, hold: Hold) -> None:
        """End this process where the run makes no progress: the training loop, stuck, could not be asked to."""
        still = time.monotonic() - hold.advanced
        if hold.stuck_seconds is not None and still > hold.stuck_seconds:
            self._end_process(run_id, f"no step was made for {still:.0f} s")

    def _end_process(self, run_id: str, why: str) -> None:
        """End this process at once, with nothing more written; another worker goes on from the checkpoint."""
        log.critical("run %s: %s; its worker ends itself", run_id, why)
        os.kill(os.getpid(), signal.SIGKILL)
