"""The thread beside the training loop: it beats the claim and looks for a reason to leave."""

from __future__ import annotations

import logging
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from scaling.dispatch.claims.claim import HeldClaim
from scaling.dispatch.claims.stop import Stop
from scaling.folders import Place

log = logging.getLogger(__name__)
TICK = 0.2  # seconds between two looks at the reasons to leave


class Heartbeat(threading.Thread):
    """Beats the claim that is held, and passes on reasons to leave; home: the results, which have to stay."""

    def __init__(
        self, stop: Stop, looks: Sequence[Callable[[str], tuple[str, str]]] = (), *, home: Place | None = None
    ) -> None:
        super().__init__(name="heartbeat", daemon=True)
        self._stop_asked = stop
        self._looks = looks
        self._home = home
        self._lock = threading.Lock()
        self._end = threading.Event()
        self._held: HeldClaim | None = None
        self._run_id = ""
        self._progress: dict[str, float] | None = None
        self._beaten = 0.0
        self._advanced = 0.0
        self._stuck_seconds: float | None = None

    def hold(self, run_id: str, held: HeldClaim, *, stuck_seconds: float | None = None) -> None:
        """Begin to beat a claim; stuck_seconds: without progress, after which this process ends itself."""
        with self._lock:
            self._stop_asked.run_reason = ""
            self._held, self._run_id, self._progress, self._beaten = held, run_id, None, time.monotonic()
            self._advanced, self._stuck_seconds = time.monotonic(), stuck_seconds

    def drop(self) -> None:
        """Stop beating and release the claim."""
        with self._lock:
            held, self._held = self._held, None
        if held is not None:
            held.release()

    def watch(self, progress: Any) -> None:
        """Note how far the run is; it is written down with the next beat."""
        values = progress if isinstance(progress, Mapping) else vars(progress)
        if self._progress is None or values.get("step") != self._progress.get("step"):
            self._advanced = time.monotonic()
        self._progress = {key: value for key, value in values.items() if value is not None and math.isfinite(value)}

    @property
    def step(self) -> int | None:
        """How far the run is that is held, or was held last; None where it has not said."""
        progress = self._progress or {}
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
        while not self._end.wait(TICK):
            with self._lock:
                self._look()
                self._beat()
                self._end_if_stuck()

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
        if self._home is not None and self._home.gone:
            self._end_process("the results were moved away from under this worker")
        if not self._held.beat(self._progress):
            self._stop_asked.run_reason = "superseded"

    def _end_if_stuck(self) -> None:
        """End this process where the run makes no progress: the training loop, stuck, could not be asked to."""
        if self._held is None or self._stuck_seconds is None:
            return
        still = time.monotonic() - self._advanced
        if still > self._stuck_seconds:
            self._end_process(f"no step was made for {still:.0f} s")

    def _end_process(self, why: str) -> None:
        """End this process at once, with nothing more written; another worker goes on from the checkpoint."""
        log.critical("run %s: %s; its worker ends itself", self._run_id, why)
        os.kill(os.getpid(), signal.SIGKILL)
