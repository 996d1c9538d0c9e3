"""The cost of a queue's runs so far, from the index, so that workers need not scan all runs before each start."""

from __future__ import annotations

import time
from collections.abc import Container
from typing import Any

from scaling.dispatch.states import index
from scaling.dispatch.states.index import Event


class Spending:
    """Adds up GPU-seconds of attempts and FLOPs of settled runs; runs in flight count at least at their forecast.

    runs: the queue's; other runs are not counted.
    """

    def __init__(self, runs: Container[str]) -> None:
        self._runs = runs
        self._ended = 0.0
        self._in_flight: dict[str, dict[str, Any]] = {}
        self._flops: dict[str, float] = {}
        self._settled: set[str] = set()
        self._bought = 0.0  # FLOPs of settled runs

    def add(self, event: Event) -> None:
        """Process a line of the index."""
        if event.run_id not in self._runs:
            return
        if event.kind == index.SETTLED:
            if event.run_id not in self._settled:
                self._settled.add(event.run_id)
                self._bought += self._flops.get(event.run_id, 0.0)
            return
        facts = event.read()
        if event.kind == index.CLAIMED:
            self._in_flight[facts["token"]] = {**facts, "run_id": event.run_id}
            if event.run_id in self._settled:
                self._bought += facts["C"] - self._flops.get(event.run_id, 0.0)
            self._flops[event.run_id] = facts["C"]
        elif event.kind in (index.TRIED, index.DROPPED):
            self._in_flight.pop(facts["token"], None)
            self._ended += facts.get("gpu_seconds") or 0.0

    def spent(self, *, without: str) -> tuple[float, float]:
        """Return GPU-seconds and FLOPs; without: a run whose present claim is not counted."""
        others = [facts for facts in self._in_flight.values() if facts["run_id"] != without]
        now = time.time()
        held = sum(max(now - facts["since"], facts["seconds"] or 0.0) * facts["gpus"] for facts in others)
        flying = {facts["run_id"] for facts in others} - self._settled
        return self._ended + held, self._bought + sum(self._flops.get(run_id, 0.0) for run_id in flying)
