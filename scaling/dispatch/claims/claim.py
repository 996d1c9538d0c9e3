"""Claims: claim.json names the process that trains a run, which creates it exclusively and keeps it alive.

A claim is created with link(2), atomically and exclusively, also on network file systems. Its owner raises the counter
in place, through the file that it created, so that it never overwrites a claim that has replaced its own.
To remove or replace a claim, a process first creates a marker named by the claim's token: only one process can, and
while the marker exists no other removes the claim. So two processes that find the same dead claim never both take it
over, and neither removes the claim of a third. The death of its owner is recorded before a dead claim is replaced, by
a rename: the run is never free in between, and if one of the two fails, the claim stays dead.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import re
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import Any

from scaling.dispatch.claims.exclusive_file import create_exclusively, replace_file
from scaling.dispatch.process import Process, this_process
from scaling.security.reading import NotAFile, known_fields, parse_json, read_bytes

TOKEN = re.compile(r"\w+")
LARGEST = 1 << 20  # most bytes of a claim that are read
SIZE = 1024  # bytes of a claim, padded: a heartbeat is one write of one block
PERIODS = 3  # heartbeat periods without a heartbeat, by the observer's clock, after which a claim may be dead


@dataclass(frozen=True)
class Claim:
    """The content of claim.json: owner, job, start (Unix seconds), GPUs, and progress.

    period: seconds between heartbeats; count, beat: number and time of the last one; stack: number of runs that its
    owner trains together, including this one.
    """

    token: str
    process: Process
    job: str = ""
    worker: str = ""
    gpus: int = 0
    since: float = 0.0
    period: float = 1.0
    count: int = 0
    beat: float = 0.0
    progress: Mapping[str, float] = field(default_factory=dict)
    stack: int = 1

    def to_json(self) -> bytes:
        """Return the claim as JSON, padded to SIZE."""
        facts = {**vars(self), "process": vars(self.process), "progress": dict(self.progress)}
        return json.dumps(facts, allow_nan=False).encode().ljust(SIZE - 1) + b"\n"

    @classmethod
    def from_json(cls, raw: bytes) -> Claim:
        """Read a claim; a truncated or foreign one has an unknown owner and a token made from its bytes."""
        try:
            values = known_fields(cls, parse_json(raw))
            process = Process(**known_fields(Process, values["process"]))
            progress = {
                name: value
                for name, value in values.get("progress", {}).items()
                if isinstance(value, int | float) and math.isfinite(value)
            }
            return _checked(cls(**{**values, "process": process, "progress": progress}))
        except (ValueError, TypeError, KeyError, AttributeError):
            token = hashlib.sha256(raw).hexdigest()[:12]
            return cls(token=token, process=Process(host="?", space="?", pid=0, start=0))


def _checked(claim: Claim) -> Claim:
    """Return the claim; ValueError if it has values that this package never writes, such as a path for a token."""
    process = claim.process
    words = (claim.token, claim.job, claim.worker, process.host, process.space)
    numbers = (process.pid, process.start, claim.gpus, claim.since, claim.period, claim.count, claim.beat, claim.stack)
    if not all(isinstance(word, str) for word in words) or not TOKEN.fullmatch(claim.token):
        raise ValueError("words")
    if not all(isinstance(number, int | float) and math.isfinite(number) for number in numbers) or claim.stack < 1:
        raise ValueError("numbers")
    if process.pid != int(process.pid):
        raise ValueError("process")
    return claim


def read_claim(path: Path) -> Claim | None:
    """Return the claim at `path`, None if there is none."""
    try:
        return Claim.from_json(read_bytes(path, most=LARGEST))
    except FileNotFoundError:
        return None
    except NotAFile:  # such as a pipe: an unknown owner
        return Claim.from_json(b"")


class HeldClaim:
    """A claim held by this process."""

    def __init__(self, path: Path, claim: Claim, descriptor: int) -> None:
        self.path = path
        self.claim = claim
        self._descriptor = descriptor

    def beat(
        self,
        progress: Mapping[str, float] | None = None,
        *,
        stack: int = 1,
        period: float | None = None,
        sync: bool = True,
    ) -> bool:
        """Write a heartbeat; return False if the claim no longer belongs to this process.

        period: seconds until the next one, unchanged by default; sync: wait for the disk.
        """
        progress, period = self.claim.progress if progress is None else progress, period or self.claim.period
        count, now = self.claim.count + 1, time.time()
        self.claim = replace(self.claim, count=count, beat=now, progress=progress, stack=stack, period=period)
        try:
            os.pwrite(self._descriptor, self.claim.to_json(), 0)
            if sync:
                os.fdatasync(self._descriptor)
            return os.fstat(self._descriptor).st_nlink > 0
        except OSError as error:
            # Other errors, such as a full disk, may be temporary: the next heartbeat will show it.
            return error.errno not in (errno.ESTALE, errno.ENOENT)

    def release(self) -> None:
        """Remove the claim if it still belongs to this process."""
        os.close(self._descriptor)
        try:
            remove(self.path, self.claim.token)
        except OSError as error:  # no space for the marker; no other process removes a live process's claim
            found = read_claim(self.path)
            if error.errno not in (errno.ENOSPC, errno.EDQUOT) or found is None or found.token != self.claim.token:
                raise
            self.path.unlink(missing_ok=True)


def acquire(path: Path, *, job: str = "", worker: str = "", gpus: int = 0, period: float = 1.0) -> HeldClaim | None:
    """Create the claim at `path`; return None if there already is one."""
    claim = _new_claim(job=job, worker=worker, gpus=gpus, period=period)
    descriptor = create_exclusively(path, claim.to_json(), token=claim.token)
    return None if descriptor is None else HeldClaim(path, claim, descriptor)


def _new_claim(**facts: Any) -> Claim:
    now = time.time()
    return Claim(uuid.uuid4().hex[:12], this_process(), since=now, beat=now, **facts)


def remove(path: Path, token: str) -> bool:
    """Remove the claim with this token; return False if it has another, or another process is removing it."""
    with _alone(path, token) as alone:
        if alone:
            path.unlink(missing_ok=True)  # a file server that is asked again after a lost answer finds none
    return alone


def _replace(path: Path, dead: Claim, before: Callable[[Claim], None], **facts: Any) -> HeldClaim | None:
    """Replace a dead claim by one of this process; see `take`. Return None where `remove` returns False."""
    with _alone(path, dead.token) as alone:
        if not alone:
            return None
        before(dead)
        claim = _new_claim(**facts)
        return HeldClaim(path, claim, replace_file(path, claim.to_json(), token=claim.token))


@contextmanager
def _alone(path: Path, token: str) -> Iterator[bool]:
    """Yield whether the claim has this token and only this process may remove it, for the length of the block."""
    marker, mark = _marker(path, token), _new_claim()
    descriptor = create_exclusively(marker, mark.to_json(), token=mark.token)
    if descriptor is None:
        yield False
        return
    try:
        found = read_claim(path)
        yield found is not None and found.token == token
    finally:
        os.close(descriptor)
        marker.unlink(missing_ok=True)


def _marker(path: Path, token: str) -> Path:
    return path.with_name(f".{path.name}.{token}")


class Life(Enum):
    """Whether a claim is alive, as far as an observer knows."""

    FREE = "free"
    ALIVE = "alive"
    UNSURE = "unsure"
    DEAD = "dead"


class Observer:
    """Tells live claims from dead ones by its own clock, the process table and, if there is one, the scheduler.

    job: the observer's own job, whose claims may be from before its requeue although it is running; is_running: returns
    whether the scheduler is running a job, None if it cannot say.
    """

    def __init__(
        self,
        *,
        job: str = "",
        is_running: Callable[[str], bool | None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._job = job
        self._is_running = is_running
        self._clock = clock
        self._seen: dict[Path, tuple[Any, float]] = {}

    def look(self, path: Path) -> tuple[Life, Claim | None]:
        """Return whether the claim at `path` is alive, and the claim."""
        claim = read_claim(path)
        if claim is None:
            self._seen.pop(path, None)
            return Life.FREE, None
        return self._judge(path, claim), claim

    def _judge(self, path: Path, claim: Claim) -> Life:
        now = self._clock()
        sign = (claim.token, claim.count)
        before, since = self._seen.setdefault(path, (sign, now))
        if sign != before:
            self._seen[path] = (sign, now)
            since = now
        if claim.process.here:
            return Life.DEAD if claim.process.gone else Life.ALIVE
        # SLURM cannot tell about our own job before its requeue on another machine; missing heartbeats can.
        known = (
            self._is_running(claim.job) if self._is_running is not None and claim.job not in ("", self._job) else None
        )
        if known or (sign != before and before[0] == claim.token):
            return Life.ALIVE
        return Life.DEAD if now - since >= PERIODS * claim.period else Life.UNSURE


def take(
    path: Path, observer: Observer, *, before: Callable[[Claim], None] = lambda dead: None, **facts: Any
) -> HeldClaim | None:
    """Claim the run at `path`; return None if it is claimed by another process that is not known to be dead.

    before: called with a dead claim before it is replaced; if it raises, the claim stays dead.
    """
    held = acquire(path, **facts)
    if held is not None:
        return held
    life, dead = observer.look(path)
    if life is not Life.DEAD or dead is None:
        return None
    held = _replace(path, dead, before, **facts)
    if held is None:
        _remove_dead(_marker(path, dead.token), observer)  # the next look replaces the claim
    return held


def _remove_dead(marker: Path, observer: Observer) -> None:
    """Remove a marker whose process has died, as a claim is removed: only one process can, and only that marker."""
    life, dead = observer.look(marker)
    if life is Life.DEAD and dead is not None and not remove(marker, dead.token):
        _remove_dead(_marker(marker, dead.token), observer)
