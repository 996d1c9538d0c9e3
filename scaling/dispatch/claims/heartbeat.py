"""The thread beside the training loop: it beats the claim and looks for a reason to leave."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from scaling.dispatch.claims.claim import HeldClaim
from scaling.dispatch.claims.stop import Stop

TICK = 0.2  # seconds between two looks at the reasons to leave


class Heartbeat(threading.Thread):
    """Beats the claim that is held, and passes on reasons to leave."""

    def __init__(self, stop: Stop, looks: Sequence[Callable[[str], tuple[str, str]]] = ()) -> None:
        super().__init__(name="heartbeat", daemon=True)
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
