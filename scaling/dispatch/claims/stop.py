"""Ask a worker to stop: by a signal, by a file, or because its dispatcher has ended."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from scaling.dispatch.process import Process
from scaling.security.reading import parse_json, read_text

NAP = 0.2  # seconds between two checks whether to stop, while waiting
StopCheck = Callable[[str], tuple[str, str]]  # run id -> reason to stop the worker, and this run; '' for none


@contextmanager
def stopped_by_signals(stop: Stop) -> Iterator[None]:
    """Within the block, SIGINT, SIGTERM and SIGHUP request a stop; a second SIGINT interrupts at once."""

    def ask(number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and stop.reason:
            signal.default_int_handler(number, frame)
        stop.say("interrupted")

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Stop:
    """Whether a worker is to stop, and why; a plain attribute, because the training loop asks often.

    reason: for the whole worker (interrupted, cancelled, preempted, …); runs: for single runs that it trains, by id.
    """

    def __init__(self) -> None:
        self.reason = ""
        self.runs: dict[str, str] = {}

    def of(self, run_id: str) -> Callable[[], bool]:
        """Return a function that says whether a run is to stop."""
        return lambda: bool(self.reason or self.runs.get(run_id))

    def wait(self, seconds: float) -> None:
        """Sleep for some seconds, or until a stop is requested."""
        until = time.monotonic() + seconds
        while not self.reason and (left := until - time.monotonic()) > 0:
            time.sleep(min(NAP, left))

    def say(self, reason: str) -> None:
        """Ask the worker to stop; the first reason is kept."""
        self.reason = self.reason or reason


@dataclass(frozen=True)
class StopRequest:
    """The content of a stop file: stop all runs (None) or the named ones, for `cause`."""

    cause: str
    runs: tuple[str, ...] | None = None

    def to_json(self) -> str:
        """Return the request as JSON."""
        return json.dumps({"cause": self.cause, "runs": self.runs})


def read_stop_request(path: Path) -> StopRequest | None:
    """Return the content of a stop file, None if there is none or it cannot be read."""
    try:
        raw = parse_json(read_text(path))
        return StopRequest(raw["cause"], None if raw["runs"] is None else tuple(raw["runs"]))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def stop_file_check(path: Path) -> StopCheck:
    """Return a check of a stop file, which is read again when it has changed."""
    seen: list[Any] = [None, None]

    def check(run_id: str) -> tuple[str, str]:
        try:
            stamp = path.stat().st_mtime_ns
        except OSError:
            return "", ""
        if stamp != seen[0]:
            seen[:] = [stamp, read_stop_request(path)]
        request: StopRequest | None = seen[1]
        if request is None:
            return "", ""
        if request.runs is None:
            return request.cause, ""
        return "", request.cause if run_id in request.runs else ""

    return check


def orphan_check(parent: Process) -> StopCheck:
    """Return a check that the process that started this one is still running."""
    return lambda run_id: ("orphaned", "") if parent.gone else ("", "")
