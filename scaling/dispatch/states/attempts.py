"""Attempts: one line in attempts.jsonl for each time that a run was tried, with how it ended."""

from __future__ import annotations

import errno
import time
import traceback
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from scaling.dispatch.claims.claim import Claim
from scaling.dispatch.process import host
from scaling.errors import UserError
from scaling.folders import RunFolder, append_line, read_lines

SETTLED = ("finished", "diverged")
FAILURES = ("crashed", "out_of_memory", "refused", "timed_out", "killed", "not_finite")
# All other causes (preempted, requeued, node_lost, cancelled, interrupted, orphaned, terminated, ...) are free: such a
# run is tried again as often as need be.
NUMBERS = ("seconds", "gpu_seconds", "step", "stack")
LARGEST = 1e18  # that one of them can be
FINAL = ("out_of_memory", "refused", "not_finite")  # the same run would end the same way
STACK_DIED = "stack_died"  # of several runs that were trained together, each of which may have been the cause
LOST = (
    "node_lost",
    "requeued",
    "preempted",
    "terminated",
    "file_error",
)  # also what a run that crashes its node ends by
KILLED_TRIES = 3  # a worker that dies under the same run this often is killed by it
DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
PASSING = (
    errno.ESTALE,
    errno.EIO,
    errno.ETIMEDOUT,
    errno.ECONNRESET,
    errno.EREMOTEIO,
    errno.EROFS,
)  # what a file server does now and then
LONG = 20_000  # characters of an error's text, and of either end of its traceback
FRUITLESS_TRIES = 5  # attempts in a row that ended for free causes without a step gained


@dataclass(frozen=True)
class Attempt:
    """One try of one run.

    start, end: ISO 8601 in UTC; step: how far the run was, None where that is not known; error: one line;
    traceback: whole; stack: runs that were trained together with it, itself included; gpu_seconds: its share.
    """

    start: str
    end: str
    host: str
    job: str
    cause: str
    seconds: float
    gpu_seconds: float
    step: int | None = None
    error: str = ""
    traceback: str = ""
    stack: int = 1

    def append(self, folder: RunFolder) -> None:
        """Write the attempt down."""
        append_line(folder.attempts, asdict(self))


def ended_attempt(
    started: float,
    *,
    job: str,
    gpus: float,
    cause: str,
    step: int | None,
    failure: BaseException | None,
    stack: int = 1,
) -> Attempt:
    """Return an attempt of this process that ends now; started: Unix seconds; failure: what was raised.

    gpus: held, or its share of them where `stack` runs were trained together.
    """
    seconds = now() - started
    return Attempt(
        start=iso(started),
        end=iso(started + seconds),
        host=host(),
        job=job,
        cause=cause,
        seconds=round(seconds, 3),
        gpu_seconds=round(seconds * gpus, 3),
        step=step,
        error=one_line(failure) if failure else "",
        traceback=whole(failure) if failure else "",
        stack=stack,
    )


def dead_attempt(dead: Claim, cause: str) -> Attempt:
    """Return the attempt of a worker that died, as its claim tells it; a run of a stack that died is not charged."""
    seconds = max(0.0, dead.beat - dead.since)
    if dead.stack > 1 and cause in FAILURES:
        cause = STACK_DIED
    how = ": its job had no more memory; launcher.memory_gb asks for more" if cause == "out_of_memory" else ""
    return Attempt(
        start=iso(dead.since),
        end=iso(dead.beat),
        host=dead.process.host,
        job=dead.job,
        cause=cause,
        seconds=round(seconds, 3),
        gpu_seconds=round(seconds * dead.gpus / dead.stack, 3),
        stack=dead.stack,
        step=int(dead.progress["step"]) if dead.progress and "step" in dead.progress else None,
        error=f"the worker (process {dead.process.pid} on {dead.process.host}) died under it{how}",
    )


def iso(seconds: float) -> str:
    """Return Unix seconds as ISO 8601 in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def now() -> float:
    """Return Unix seconds."""
    return time.time()


def cause_of(error: BaseException) -> str:
    """Name why a run's training raised: refused (bad input), out_of_memory, not_finite, file_error or crashed."""
    names = {kind.__name__ for kind in type(error).__mro__}
    if isinstance(error, MemoryError) or names & {"OutOfMemory", "OutOfMemoryError"}:
        return "out_of_memory"
    if isinstance(error, UserError):
        return "refused"
    if passing(error):
        return "file_error"
    return "not_finite" if isinstance(error, FloatingPointError) else "crashed"


def disk_full(error: BaseException) -> bool:
    """Return whether an error says that there is no space left, or a quota reached."""
    return isinstance(error, OSError) and error.errno in DISK_FULL


def passing(error: BaseException) -> bool:
    """Return whether an error of the file system is likely to pass by itself."""
    return isinstance(error, OSError) and error.errno in PASSING


def one_line(error: BaseException) -> str:
    """Return an error as one line, at most 300 characters."""
    text = " ".join(_said(error).split())
    named = (
        text if isinstance(error, UserError) else f"{type(error).__name__}: {text}" if text else type(error).__name__
    )
    return named[:300]


def whole(error: BaseException) -> str:
    """Return an error's traceback; of a very long one its beginning and its end."""
    text = "".join(traceback.format_exception(error))
    return text if len(text) <= 2 * LONG else f"{text[:LONG]}\n…\n{text[-LONG:]}"


def _said(error: BaseException) -> str:
    try:
        return str(error)[:LONG]
    except Exception:  # an error of the user's own, whose text raises
        return "an error that cannot be told as text"


def read_attempts(folder: RunFolder) -> list[dict[str, Any]]:
    """Return the attempts of a run, oldest first; a number that is none is left out of its line."""
    return [_sound(line) for line in read_lines(folder.attempts)]


def _sound(line: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in line.items() if name not in NUMBERS or _is_number(value)}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and abs(value) < LARGEST


def largest_stack(attempts: Sequence[Mapping[str, Any]]) -> int | None:
    """Return how many may be trained together with a run: half of those it last died with, one where it failed alone.

    None where it has done neither.
    """
    if any(attempt.get("cause") in FAILURES for attempt in attempts):
        return 1
    died = []
    for attempt in reversed(attempts):
        if attempt.get("cause") != STACK_DIED:
            break
        died.append(max(1, int(attempt.get("stack") or 2) // 2))
    return min(died, default=None)


def failed_for_good(
    attempts: Iterable[Mapping[str, Any]], *, retries: int, before: Iterable[Mapping[str, Any]] = ()
) -> bool:
    """Return whether these attempts use up a run's tries.

    Crashes are counted against retries, a final cause ends it at once. A run that killed its worker has KILLED_TRIES
    without progress in all, those of earlier dispatches (before) included, but at least one in each dispatch. Other
    causes are free, unless the run gained no step in FRUITLESS_TRIES of them in a row.
    """
    found = list(attempts)
    causes = [str(attempt.get("cause")) for attempt in found]
    if any(cause in FINAL for cause in causes):
        return True
    past = list(before)
    if "killed" in causes and _killed_in_vain([*past, *found]) >= KILLED_TRIES:
        return True
    return causes.count("crashed") > retries or _fruitless(found)


def _killed_in_vain(attempts: Iterable[Mapping[str, Any]]) -> int:
    """Count the attempts under which a worker died no further than the run had been before."""
    reached = killed = 0
    for attempt in attempts:
        step = int(attempt.get("step") or 0)
        killed += attempt.get("cause") == "killed" and step <= reached
        reached = max(reached, step)
    return killed


def _fruitless(attempts: list[Mapping[str, Any]]) -> bool:
    """Return whether the last attempts all ended for causes that are not the run's own, without a step gained."""
    last = attempts[-FRUITLESS_TRIES:]
    free = [attempt for attempt in last if attempt.get("cause") in LOST]
    return len(free) == FRUITLESS_TRIES and len({attempt.get("step") or 0 for attempt in free}) == 1
