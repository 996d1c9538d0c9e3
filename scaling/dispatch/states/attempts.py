"""Attempts: one line in attempts.jsonl for each time that a run was tried, with how it ended."""

from __future__ import annotations

import errno
import time
import traceback
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from scaling.dispatch.claims.claim import Claim
from scaling.dispatch.process import host
from scaling.errors import UserError
from scaling.folders import RunFolder, append_line, read_lines

SETTLED = ("finished", "diverged")
FAILURES = ("crashed", "out_of_memory", "refused", "killed", "not_finite")
# All other causes (timed_out, preempted, requeued, node_lost, cancelled, interrupted, orphaned, ...) are free: they do
# not count against a run's tries.
NUMBERS = ("seconds", "gpu_seconds", "step", "stack")
LARGEST = 1e18  # largest valid value of these
FINAL = ("out_of_memory", "refused", "not_finite")  # another try would end the same way
STACK_DIED = "stack_died"  # any of the runs trained together may have been the cause
# Causes from outside of a run, which a run that crashes its node has as well.
LOST = ("node_lost", "requeued", "preempted", "terminated", "timed_out", "file_error")
KILLED_TRIES = 3  # a run under which workers die this often is taken for the cause
DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
# Temporary errors of a file server.
PASSING = (errno.ESTALE, errno.EIO, errno.ETIMEDOUT, errno.ECONNRESET, errno.EREMOTEIO, errno.EROFS)
LONG = 20_000  # characters of an error's text, and of either end of its traceback
FRUITLESS_TRIES = 5  # attempts in a row that ended for free causes without a step gained


@dataclass(frozen=True)
class PastAttempt:
    """One try of one run.

    start, end: ISO 8601 in UTC; step: the last step, None if it is unknown; error: one line; stack: number of runs
    trained together, including this one; gpu_seconds: its share.
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
        """Append the attempt to attempts.jsonl, unless an earlier try has, whose answer was lost."""
        line = asdict(self)
        if line not in read_lines(folder.attempts):
            append_line(folder.attempts, line)


@dataclass(frozen=True)
class Start:
    """The moment at which an attempt began: in Unix seconds, and by a clock that never jumps nor runs while the machine
    is suspended."""

    at: float = field(default_factory=time.time)
    clock: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """The seconds since then."""
        return time.monotonic() - self.clock


def ended_attempt(
    start: Start, *, job: str, gpus: float, cause: str, step: int | None, failure: BaseException | None, stack: int = 1
) -> PastAttempt:
    """Return an attempt of this process that ends now; failure: the raised error.

    gpus: the number held, for a run in a stack its share of them.
    """
    seconds = start.seconds
    return PastAttempt(
        start=iso(start.at),
        end=iso(time.time()),
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


def dead_attempt(dead: Claim, cause: str) -> PastAttempt:
    """Return the attempt of a worker that died, from its claim; the death of a stack does not count against a run."""
    seconds = max(0.0, dead.beat - dead.since)
    if dead.stack > 1 and cause in FAILURES:
        cause = STACK_DIED
    how = ": its job had no more memory; launcher.memory_gb asks for more" if cause == "out_of_memory" else ""
    return PastAttempt(
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


def cause_of(error: BaseException) -> str:
    """Return the cause for an error: refused (bad input), out_of_memory, not_finite, file_error or crashed."""
    names = {kind.__name__ for kind in type(error).__mro__}
    if isinstance(error, MemoryError) or names & {"OutOfMemory", "OutOfMemoryError"}:
        return "out_of_memory"
    if isinstance(error, UserError):
        return "refused"
    if passing(error):
        return "file_error"
    return "not_finite" if isinstance(error, FloatingPointError) else "crashed"


def disk_full(error: BaseException) -> bool:
    """Return whether an error means a full disk or a reached quota."""
    return isinstance(error, OSError) and error.errno in DISK_FULL


def passing(error: BaseException) -> bool:
    """Return whether an error of the file system is likely to be temporary."""
    return isinstance(error, OSError) and error.errno in PASSING


def one_line(error: BaseException) -> str:
    """Return an error as one line, at most 300 characters."""
    text = " ".join(_said(error).split())
    if not isinstance(error, UserError):
        text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return text[:300]


def whole(error: BaseException) -> str:
    """Return an error's traceback, shortened in the middle if it is very long."""
    text = "".join(traceback.format_exception(error))
    return text if len(text) <= 2 * LONG else f"{text[:LONG]}\n…\n{text[-LONG:]}"


def _said(error: BaseException) -> str:
    try:
        return str(error)[:LONG]
    except Exception:  # a user's exception whose __str__ raises
        return "an error that cannot be told as text"


def read_attempts(folder: RunFolder) -> list[dict[str, Any]]:
    """Return the attempts of a run, oldest first, without invalid numbers."""
    lines = read_lines(folder.attempts)
    return [{name: value for name, value in line.items() if name not in NUMBERS or _is_number(value)} for line in lines]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and abs(value) < LARGEST


def largest_stack(attempts: Sequence[Mapping[str, Any]]) -> int | None:
    """Return the largest stack for a run: half of its last ones that died, 1 if it has failed alone, None for any."""
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
    """Return whether a run has failed for good after these attempts.

    Crashes count against retries, a final cause ends it at once. Deaths of workers without progress are allowed up to
    KILLED_TRIES, including those of earlier dispatches (before), but one in each dispatch. Other causes do not count,
    unless the run gained no step in FRUITLESS_TRIES of them in a row.
    """
    found = list(attempts)
    causes = [str(attempt.get("cause")) for attempt in found]
    if any(cause in FINAL for cause in causes):
        return True
    past = list(before)
    if "killed" in causes and _killed_in_vain([*past, *found]) >= KILLED_TRIES:
        return True
    return causes.count("crashed") > retries or fruitless(found)


def _killed_in_vain(attempts: Iterable[Mapping[str, Any]]) -> int:
    """Count the attempts in which a worker died without progress beyond the earlier ones."""
    reached = killed = 0
    for attempt in attempts:
        step = int(attempt.get("step") or 0)
        killed += attempt.get("cause") == "killed" and step <= reached
        reached = max(reached, step)
    return killed


def fruitless(attempts: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether the last attempts all ended for causes in LOST without gaining a step."""
    last = attempts[-FRUITLESS_TRIES:]
    free = [attempt for attempt in last if attempt.get("cause") in LOST]
    return len(free) == FRUITLESS_TRIES and len({attempt.get("step") or 0 for attempt in free}) == 1
