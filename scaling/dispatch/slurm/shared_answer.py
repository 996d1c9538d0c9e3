"""Share squeue's answer between all processes of a sweep, which ask at most once in ten seconds."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from scaling.dispatch.claims.server_clock import age
from scaling.dispatch.dispatches import Dispatch, DispatchFolder, is_dispatch
from scaling.dispatch.process import this_user
from scaling.dispatch.slurm import scheduler
from scaling.folders import write_atomically
from scaling.security.reading import parse_json, read_text

FILE = "squeue.json"  # in the folder of the dispatches
FRESH = 10.0  # seconds for which an answer is reused
OLD = 60.0  # seconds after which an answer is not used at all, and a process that was asking is taken for dead


@dataclass(frozen=True)
class Answer:
    """An answer of squeue; users: whose jobs were asked for; states: by job, None if it did not answer; reasons: why
    jobs do not run; sources: their dispatches (see `QueuedJob`).
    """

    users: tuple[str, ...]
    states: Mapping[str, str] | None
    reasons: Mapping[str, str]
    sources: Mapping[str, str]

    def of(self, dispatches: Sequence[tuple[DispatchFolder, Dispatch]]) -> Answer:
        """Return the part about the jobs of these dispatches.

        They are recognised by their source too, because SLURM gives ids again if it has lost its state.
        """
        if self.states is None:
            return self
        known: dict[str, set[str]] = {}
        for files, dispatch in dispatches:
            for job in dispatch.jobs:
                known.setdefault(job, set()).update((files.path.name, files.path.parent.parent.name))
        own = {job for job in self.states if self.sources.get(job) in known.get(job.split("_")[0], ())}
        states, reasons = ({job: each[job] for job in own if job in each} for each in (self.states, self.reasons))
        return replace(self, states=states, reasons=reasons)


class SharedAnswer:
    """The answer in a file in the folder of the dispatches; the file's time is that of the question."""

    def __init__(self, path: Path) -> None:
        self._path, self._turn = path, path.with_suffix(".asking")

    def get(self, users: Collection[str] = (), *, since: float = 0.0) -> Answer | None:
        """Return an answer on all jobs of these users; ask squeue if it is old and no other process is asking.

        None if there is no usable answer while another process asks. since: Unix seconds by the file system's clock,
        such as when the last job was accepted; an older answer is not used.
        """
        names = tuple(sorted({this_user() if user == "" else user for user in users} or {this_user()}))
        found = self._read(names, since)
        if found is not None and _age(self._path) <= FRESH:
            return found
        if not self._take():
            return found
        try:
            return self._asked(names)
        finally:
            with suppress(OSError):
                self._turn.rmdir()

    def _asked(self, names: tuple[str, ...]) -> Answer:
        began = _time(self._turn)
        found = ask(names)
        with suppress(OSError):
            write_atomically(self._path, json.dumps(asdict(found)))
            if began is not None:
                os.utime(self._path, (began, began))
        return found

    def _read(self, names: tuple[str, ...], since: float) -> Answer | None:
        when = _time(self._path)
        if when is None or when <= since or _age(self._path) > OLD:
            return None
        try:
            raw = parse_json(read_text(self._path))
            found = Answer(**{**raw, "users": tuple(raw["users"])})
        except (OSError, ValueError, TypeError, KeyError):  # removed, cut, or of an older version
            return None
        return found if set(names) <= set(found.users) else None

    def _take(self) -> bool:
        """Return whether this process may ask; clear the lock of a process that has died while asking."""
        try:
            self._turn.mkdir()
        except FileExistsError:
            if _age(self._turn) >= OLD:
                with suppress(OSError):
                    self._turn.rmdir()
            return False
        except OSError:  # not writable: each process asks for itself
            return True
        return True


def ask(users: Collection[str] = ()) -> Answer:
    """Ask squeue about all jobs of these users."""
    found = scheduler.all_jobs(users)
    if found is None:
        return Answer(tuple(users), None, {}, {})
    return Answer(
        tuple(users),
        states={job: queued.state for job, queued in found.items()},
        reasons={job: queued.reason for job, queued in found.items()},
        sources={job: queued.source for job, queued in found.items()},
    )


def answer_on(dispatches: Sequence[tuple[DispatchFolder, Dispatch]]) -> Answer:
    """Return squeue's answer about the jobs of one sweep, from after the last one was accepted."""
    users = {dispatch.user for _, dispatch in dispatches}
    accepted = [_time(files.facts) or 0.0 for files, _ in dispatches]
    shared = SharedAnswer(dispatches[-1][0].path.with_name(FILE)).get(users, since=max(accepted))
    return (shared or ask(users)).of(dispatches)


class JobIsRunning:
    """Tells whether SLURM is running a job, by the shared answer, which is read once in FRESH seconds."""

    def __init__(self, jobs: Path) -> None:
        self._answer = SharedAnswer(jobs / FILE)
        self._sweep = jobs.parent.name
        self._found: Answer | None = None
        self._looked = float("-inf")

    def __call__(self, job: str) -> bool | None:
        """Return whether the job is running, None if it is unknown."""
        if time.monotonic() - self._looked > FRESH:
            self._found, self._looked = self._answer.get(), time.monotonic()
        if self._found is None or self._found.states is None:
            return None
        source = self._found.sources.get(job, "")  # the id may be that of a job that trains nothing by now
        ours = is_dispatch(source) or source == self._sweep
        return ours and self._found.states.get(job) in scheduler.ALIVE


def _time(path: Path) -> float | None:
    try:
        return path.stat().st_mtime
    except OSError:
        return None


def _age(path: Path) -> float:
    """Return how many seconds ago a file was written, infinity if there is none."""
    try:
        return age(path)
    except OSError:
        return float("inf")
